//! What is known of one peer, for metrics.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use quinn::Connection;
use tokio::time::Instant;

use crate::failure::{FailureKind, PeerFailure};
use crate::lane::Lane;
use crate::peer::lanes;
use crate::stats::Counter;

/// What happened between this node and a peer since the peer is known. Everything but `rtt` only
/// ever goes up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Round trip time, while the outgoing connection stands.
    pub rtt: Option<Duration>,
    /// Bytes sent as UDP payload over the raft connections, both of them.
    pub bytes_sent: u64,
    /// Bytes received likewise.
    pub bytes_received: u64,
    /// Packets that were sent there and are taken for lost.
    pub packets_lost: u64,
    /// Envelopes dropped instead of queued, per lane.
    pub envelopes_dropped: BTreeMap<Lane, u64>,
    /// Envelopes not sent because the peer's version does not know them.
    pub envelopes_withheld: u64,
    /// Outgoing connections made.
    pub connections_made: u64,
    /// Those of them that replaced a lost one.
    pub reconnects: u64,
    /// Attempts to connect that failed, by reason.
    pub handshake_failures: BTreeMap<FailureKind, u64>,
    /// Outgoing connections that ended, by reason.
    pub connections_lost: BTreeMap<FailureKind, u64>,
    /// Bulk data sent to the peer.
    pub bulk_sent: BulkStats,
    /// Bulk data received from it.
    pub bulk_received: BulkStats,
}

/// What large transfers amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkStats {
    /// Transfers begun.
    pub transfers: u64,
    /// Bytes of the objects.
    pub bytes: u64,
    /// Bytes that this took on the wire, after compression.
    pub wire_bytes: u64,
    /// Time that transfers have been running.
    pub time: Duration,
}

/// The peer's counters.
#[derive(Debug, Default)]
pub(crate) struct PeerCounters {
    pub(crate) withheld: Counter,
    pub(crate) connections_made: Counter,
    pub(crate) reconnects: Counter,
    dropped: [Counter; lanes_count()],
    handshakes: [Counter; FailureKind::ALL.len()],
    losses: [Counter; FailureKind::ALL.len()],
    pub(crate) bulk_sent: BulkCounters,
    pub(crate) bulk_received: BulkCounters,
    /// Of connections that have ended.
    ended: Mutex<Traffic>,
}

const fn lanes_count() -> usize {
    1 + crate::limits::APPEND_LANES as usize
}

/// See [`BulkStats`].
#[derive(Debug, Default)]
pub(crate) struct BulkCounters {
    pub(crate) transfers: Counter,
    bytes: Counter,
    wire_bytes: Counter,
    micros: Counter,
}

impl BulkCounters {
    /// One chunk more: its bytes, what they took on the wire, and since when.
    pub(crate) fn chunk(&self, bytes: usize, wire_bytes: usize, began: Instant) {
        self.bytes.add(bytes);
        self.wire_bytes.add(wire_bytes);
        self.micros.add(began.elapsed().as_micros() as usize);
    }

    fn read(&self) -> BulkStats {
        BulkStats {
            transfers: self.transfers.get(),
            bytes: self.bytes.get(),
            wire_bytes: self.wire_bytes.get(),
            time: Duration::from_micros(self.micros.get()),
        }
    }
}

/// What went over connections.
#[derive(Debug, Default, Clone, Copy)]
struct Traffic {
    sent: u64,
    received: u64,
    lost: u64,
}

impl Traffic {
    fn add(&mut self, connection: &Connection) {
        let stats = connection.stats();
        self.sent += stats.udp_tx.bytes;
        self.received += stats.udp_rx.bytes;
        self.lost += stats.path.lost_packets;
    }
}

impl PeerCounters {
    pub(crate) fn dropped(&self, lane: Lane, count: usize) {
        self.dropped[position(lane)].add(count);
    }

    pub(crate) fn handshake_failed(&self, failure: &PeerFailure) {
        self.handshakes[failure.kind() as usize].one();
    }

    pub(crate) fn lost(&self, failure: &PeerFailure) {
        self.losses[failure.kind() as usize].one();
    }

    /// Keeps what a connection amounted to.
    pub(crate) fn ended(&self, connection: &Connection) {
        self.ended
            .lock()
            .expect("no panic under the traffic's lock")
            .add(connection);
    }

    /// Everything, with what goes over the connections that stand.
    pub(crate) fn read(&self, out: Option<&Connection>, inbound: Option<&Connection>) -> PeerStats {
        let mut traffic = *self
            .ended
            .lock()
            .expect("no panic under the traffic's lock");
        for connection in out.into_iter().chain(inbound) {
            traffic.add(connection);
        }
        let by_kind = |counters: &[Counter]| {
            let kinds = FailureKind::ALL.into_iter();
            let counts = counters.iter().map(Counter::get);
            kinds.zip(counts).filter(|(_, count)| *count > 0).collect()
        };
        PeerStats {
            rtt: out.map(Connection::rtt),
            bytes_sent: traffic.sent,
            bytes_received: traffic.received,
            packets_lost: traffic.lost,
            envelopes_dropped: lanes()
                .map(|lane| (lane, self.dropped[position(lane)].get()))
                .collect(),
            envelopes_withheld: self.withheld.get(),
            connections_made: self.connections_made.get(),
            reconnects: self.reconnects.get(),
            handshake_failures: by_kind(&self.handshakes),
            connections_lost: by_kind(&self.losses),
            bulk_sent: self.bulk_sent.read(),
            bulk_received: self.bulk_received.read(),
        }
    }
}

fn position(lane: Lane) -> usize {
    match lane {
        Lane::Control => 0,
        Lane::Append(lane) => 1 + usize::from(lane % crate::limits::APPEND_LANES),
    }
}
