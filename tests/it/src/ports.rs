//! Ports that are free right now, and stay ours.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel picks for outgoing connections.
const FIRST: u16 = 12_000;

/// Ports in one block; the last one guards the others.
const BLOCK: u16 = 32;

/// Ports of a block that are for nodes.
pub(crate) const MAX_PORTS: u16 = BLOCK - 2;

const BLOCKS: u16 = 500;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Consecutive ports for one cluster. Other test processes look for the same blocks, and a block
/// whose guard is bound is taken.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) base: u16,
    _guard: TcpListener,
}

impl Ports {
    /// At least `count` ports that are free for UDP and TCP on loopback.
    pub(crate) fn take(count: u16) -> Self {
        assert!(count <= MAX_PORTS, "a block has {BLOCK} ports");
        let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap_or(0);
        for _ in 0..BLOCKS {
            let block = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % BLOCKS;
            let base = FIRST + block * BLOCK;
            let Ok(guard) = TcpListener::bind(("127.0.0.1", base + BLOCK - 1)) else {
                continue;
            };
            if (base..base + count).all(is_free) {
                return Self {
                    base,
                    _guard: guard,
                };
            }
        }
        panic!("no {count} consecutive free ports from {FIRST} on");
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}
