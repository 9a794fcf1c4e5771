//! Ports that are free right now.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel picks for outgoing connections.
const FIRST: u16 = 12_000;
const LAST: u16 = 30_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The first of `count` consecutive ports that are free for UDP and TCP on loopback. Every call
/// in this process looks elsewhere, and processes begin at different places.
pub(crate) fn free_base(count: u16) -> u16 {
    let start = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).unwrap_or(0);
    for _ in 0..1000 {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed);
        let base = FIRST + (start.wrapping_add(offset) % (LAST - FIRST - count));
        if (base..base + count).all(is_free) {
            return base;
        }
    }
    panic!("no {count} consecutive free ports between {FIRST} and {LAST}");
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}
