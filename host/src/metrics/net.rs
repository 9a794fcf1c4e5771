//! Connections to peers.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Scene;
use super::catalogue::{Catalogue, set, show};
use super::labels::{Dir, Direction, Peer};

/// Connections to peers.
#[derive(Debug)]
pub(crate) struct Net {
    connected: Family<Peer, Gauge>,
    bytes: Family<Dir, Counter>,
    bulk_bytes: Family<Dir, Counter>,
    messages: Family<Dir, Counter>,
    dropped: Counter,
    made: Counter,
    reconnects: Counter,
    refused: Counter,
    requests: Counter,
}

impl Net {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            connected: c.gauges(
                "quic_connected",
                "1 while there is a connection to the peer",
            ),
            bytes: c.counters("quic_bytes", "Bytes of messages between nodes"),
            bulk_bytes: c.counters("quic_bulk_bytes", "Bytes of snapshots and plugins"),
            messages: c.counters("quic_messages", "Messages between nodes"),
            dropped: c.counter(
                "quic_messages_dropped",
                "Messages not sent: lane full or no peer",
            ),
            made: c.counter("quic_connections_made", "Outgoing connections made"),
            reconnects: c.counter("quic_reconnects", "Those that replaced a lost one"),
            refused: c.counter(
                "quic_handshake_failures",
                "Incoming connections refused: wrong cluster, version, or too many",
            ),
            requests: c.counter("quic_requests_served", "Calls handled for peers"),
        }
    }

    pub(super) fn show(&self, scene: &Scene) {
        self.connected.clear();
        for peer in &scene.peers {
            let labels = Peer { peer: peer.node };
            set(&self.connected, &labels, u64::from(peer.connected));
        }
        let stats = &scene.transport;
        for (dir, bytes, bulk, messages) in [
            (
                Direction::Sent,
                stats.bytes_sent,
                stats.bulk_bytes_sent,
                stats.envelopes_sent,
            ),
            (
                Direction::Received,
                stats.bytes_received,
                stats.bulk_bytes_received,
                stats.envelopes_received,
            ),
        ] {
            show(&self.bytes, &Dir { dir }, bytes);
            show(&self.bulk_bytes, &Dir { dir }, bulk);
            show(&self.messages, &Dir { dir }, messages);
        }
        for (counter, count) in [
            (&self.dropped, stats.envelopes_dropped),
            (&self.made, stats.connections_made),
            (&self.reconnects, stats.reconnects),
            (&self.refused, stats.connections_refused),
            (&self.requests, stats.requests_served),
        ] {
            counter.inner().store(count, Ordering::Relaxed);
        }
    }
}
