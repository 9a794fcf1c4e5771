//! A relay of UDP packets between the nodes: one address for each directed pair of a node that
//! dials and the one it dials. The nodes know nothing of it: the network of the run sends their
//! packets here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::{QUIC_PORT, address};
use crate::failure::Failure;
use crate::network::{Network, relayed};
use crate::rng::Rng;
use crate::weather::Weather;

/// Names of what can become of a packet.
pub const CARRIED: &str = "packets carried";
/// It never arrives.
pub const LOST: &str = "packets lost";
/// It arrives later than at once.
pub const LATE: &str = "packets late";
/// A later one has arrived before it.
pub const OVERTAKEN: &str = "packets overtaken";
/// It arrives twice.
pub const DOUBLED: &str = "packets doubled";
/// It arrives with a bit flipped.
pub const DAMAGED: &str = "packets damaged";

/// Largest datagram that UDP has.
const DATAGRAM: usize = 65_536;

/// Packets that wait between two nodes; beyond, they are lost as in any router.
const MAX_WAITING: usize = 8_192;

/// Streams of the seed from here on are those of the pairs.
const STREAM: u64 = 10_000;

/// Nodes that a stream number has room for.
const NODES: u64 = 100;

/// The relay; it ends with it.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    pairs: Vec<(u64, u64)>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By who sends and who is meant.
    weather: Mutex<BTreeMap<(u64, u64), Weather>>,
    counts: Counts,
}

/// What has become of packets.
#[derive(Debug, Default)]
struct Counts {
    carried: AtomicU64,
    lost: AtomicU64,
    late: AtomicU64,
    overtaken: AtomicU64,
    doubled: AtomicU64,
    damaged: AtomicU64,
}

fn count(counter: &AtomicU64, yes: bool) {
    counter.fetch_add(u64::from(yes), Ordering::Relaxed);
}

impl Relay {
    /// Stands between the nodes 1 to `last`.
    ///
    /// # Errors
    /// If an address is taken or there is no `nft`.
    pub fn start(
        runtime: &Handle,
        network: &Network,
        seed: u64,
        last: u64,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let ids = 1..=last;
        let pairs: Vec<(u64, u64)> = ids
            .clone()
            .flat_map(|from| ids.clone().map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
            .collect();
        let mut tasks = Vec::new();
        for (from, to) in &pairs {
            let line = Line {
                dialer: *from,
                dialed: *to,
                dialer_at: at(&address(*from))?,
                dialed_at: at(&address(*to))?,
                rng: Rng::new(seed, STREAM + from * NODES + to),
                shared: Arc::clone(&shared),
                waiting: BinaryHeap::new(),
                sequence: 0,
                newest: [0; 2],
                free: [Instant::now(); 2],
            };
            let own = at(&relayed(*from, *to))?;
            let socket = runtime.block_on(UdpSocket::bind(own));
            let socket = socket.map_err(|error| Failure::harness(format!("bind {own}"), error))?;
            tasks.push(runtime.spawn(line.carry(socket)));
        }
        network.redirect(&pairs, QUIC_PORT)?;
        Ok(Self {
            shared,
            pairs,
            tasks,
        })
    }

    /// The directed pairs of nodes.
    pub fn pairs(&self) -> &[(u64, u64)] {
        &self.pairs
    }

    /// From now on, what `from` sends to `to` has this weather.
    pub fn set(&self, from: u64, to: u64, weather: Weather) {
        if let Ok(mut all) = self.shared.weather.lock() {
            all.insert((from, to), weather);
        }
    }

    /// Fair weather everywhere.
    pub fn clear(&self) {
        if let Ok(mut all) = self.shared.weather.lock() {
            all.clear();
        }
    }

    /// Whether packets have come this way at all.
    ///
    /// # Errors
    /// If none has.
    pub fn used(&self) -> Result<(), Failure> {
        match self.shared.counts.carried.load(Ordering::Relaxed) {
            0 => Err(Failure::harness("relay packets", "none has come this way")),
            _ => Ok(()),
        }
    }

    /// What has become of packets, by name.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        let counts = &self.shared.counts;
        [
            (CARRIED, &counts.carried),
            (LOST, &counts.lost),
            (LATE, &counts.late),
            (OVERTAKEN, &counts.overtaken),
            (DOUBLED, &counts.doubled),
            (DAMAGED, &counts.damaged),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn at(address: &str) -> Result<SocketAddr, Failure> {
    let text = format!("{address}:{QUIC_PORT}");
    text.parse()
        .map_err(|error| Failure::harness(format!("read {text}"), error))
}

/// Both directions of the connections that one node dials to another.
struct Line {
    dialer: u64,
    dialed: u64,
    dialer_at: SocketAddr,
    dialed_at: SocketAddr,
    rng: Rng,
    shared: Arc<Shared>,
    /// The first to arrive on top.
    waiting: BinaryHeap<Reverse<Packet>>,
    sequence: u64,
    /// The newest packet that each direction has delivered.
    newest: [u64; 2],
    /// When each direction is done with what it has.
    free: [Instant; 2],
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Instant,
    /// Packets due at the same time keep their order.
    sequence: u64,
    out: bool,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Line {
    async fn carry(mut self, socket: UdpSocket) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let next = self.waiting.peek().map(|Reverse(packet)| packet.due);
            // Anything later than every packet; the branch is off then.
            let due = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    // What the other end of a dead node's socket reports is no reason to end.
                    if let Ok((bytes, from)) = received {
                        self.take(from, buffer.get(..bytes).unwrap_or_default());
                    }
                }
                () = tokio::time::sleep_until(due), if next.is_some() => self.deliver(&socket).await,
            }
        }
    }

    fn take(&mut self, from: SocketAddr, bytes: &[u8]) {
        let out = from == self.dialer_at;
        if !out && from != self.dialed_at {
            return;
        }
        let (sender, meant, to) = if out {
            (self.dialer, self.dialed, self.dialed_at)
        } else {
            (self.dialed, self.dialer, self.dialer_at)
        };
        let weather = self.shared.weather.lock();
        let weather = weather.map_or_else(
            |_| Weather::default(),
            |all| all.get(&(sender, meant)).copied().unwrap_or_default(),
        );
        let now = Instant::now();
        let free = &mut self.free[usize::from(out)];
        let mut busy = free.saturating_duration_since(now);
        let arrivals = weather.arrivals(&mut self.rng, bytes.len(), &mut busy);
        *free = now + busy;
        if arrivals.is_empty() || self.waiting.len() >= MAX_WAITING {
            count(&self.shared.counts.lost, true);
            return;
        }
        let counts = &self.shared.counts;
        count(&counts.doubled, arrivals.len() > 1);
        for after in arrivals {
            self.sequence += 1;
            let mut bytes = bytes.to_vec();
            count(&counts.damaged, weather.damage(&mut self.rng, &mut bytes));
            count(&counts.late, !after.is_zero());
            self.waiting.push(Reverse(Packet {
                due: now + after,
                sequence: self.sequence,
                out,
                to,
                bytes,
            }));
        }
    }

    async fn deliver(&mut self, socket: &UdpSocket) {
        let now = Instant::now();
        while let Some(Reverse(packet)) = self.waiting.peek() {
            if packet.due > now {
                return;
            }
            let Some(Reverse(packet)) = self.waiting.pop() else {
                return;
            };
            // A node that is down takes none; that is what it means to be down.
            let _sent = socket.send_to(&packet.bytes, packet.to).await;
            let newest = &mut self.newest[usize::from(packet.out)];
            count(&self.shared.counts.overtaken, packet.sequence < *newest);
            *newest = packet.sequence.max(*newest);
            count(&self.shared.counts.carried, true);
        }
    }
}
