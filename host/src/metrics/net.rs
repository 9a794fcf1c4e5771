//! Connections to peers.

use std::sync::atomic::Ordering;

use coracle_transport::FailureKind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::catalogue::{Catalogue, Fraction, set, show};
use super::labels::{Cert, Dir, Direction, Join, Joined, Peer, PeerDir, PeerReason};
use super::{PeerScene, Scene};

/// Connections to peers.
#[derive(Debug)]
pub(crate) struct Net {
    connected: Family<Peer, Gauge>,
    rtt: Family<Peer, Fraction>,
    bytes: Family<PeerDir, Counter>,
    lost_packets: Family<Peer, Counter>,
    connect_failures: Family<PeerReason, Counter>,
    connections_lost: Family<PeerReason, Counter>,
    bulk_bytes: Family<Dir, Counter>,
    messages: Family<Dir, Counter>,
    dropped: Counter,
    made: Counter,
    reconnects: Counter,
    refused: Counter,
    requests: Counter,
    joins: Family<Join, Counter>,
    expiry: Family<Cert, Gauge>,
}

impl Net {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        let net = Self {
            connected: c.gauges(
                "quic_connected",
                "1 while there is a connection to the peer",
            ),
            rtt: c.fractions("quic_rtt_seconds", "Round trip time of a connection"),
            bytes: c.counters("quic_bytes", "UDP payload of the connections with a peer"),
            lost_packets: c.counters("quic_lost_packets", "Packets to the peer taken for lost"),
            connect_failures: c.counters(
                "quic_connect_failures",
                "Attempts to connect to the peer that failed",
            ),
            connections_lost: c.counters(
                "quic_connections_lost",
                "Connections to the peer that ended",
            ),
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
            joins: c.counters("join_requests", "Requests to join that came to this node"),
            expiry: c.gauges(
                "tls_cert_expiry_timestamp_seconds",
                "When a certificate ends, in seconds since 1970",
            ),
        };
        for result in Joined::ALL {
            drop(net.joins.get_or_create(&Join { result }));
        }
        net
    }

    pub(super) fn show(&self, scene: &Scene) {
        self.forget_peers();
        for peer in &scene.peers {
            self.show_peer(peer);
        }
        for (cert, ends) in &scene.certificates {
            self.expiry.get_or_create(&Cert { cert }).set(*ends);
        }
        let stats = &scene.transport;
        for (dir, bulk, messages) in [
            (Direction::Sent, stats.bulk_bytes_sent, stats.envelopes_sent),
            (
                Direction::Received,
                stats.bulk_bytes_received,
                stats.envelopes_received,
            ),
        ] {
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

    /// A node that has left leaves no series behind; the transport keeps the counts of the others.
    fn forget_peers(&self) {
        self.connected.clear();
        self.rtt.clear();
        self.bytes.clear();
        self.lost_packets.clear();
        self.connect_failures.clear();
        self.connections_lost.clear();
    }

    fn show_peer(&self, scene: &PeerScene) {
        let peer = scene.node;
        let stats = &scene.stats;
        set(&self.connected, &Peer { peer }, u64::from(scene.connected));
        if let Some(rtt) = stats.rtt {
            let gauge = self.rtt.get_or_create(&Peer { peer });
            gauge.set(rtt.as_secs_f64());
        }
        for (dir, bytes) in [
            (Direction::Sent, stats.bytes_sent),
            (Direction::Received, stats.bytes_received),
        ] {
            show(&self.bytes, &PeerDir { peer, dir }, bytes);
        }
        show(&self.lost_packets, &Peer { peer }, stats.packets_lost);
        for (family, counts) in [
            (&self.connect_failures, &stats.handshake_failures),
            (&self.connections_lost, &stats.connections_lost),
        ] {
            for kind in FailureKind::ALL {
                let reason = kind.as_str();
                let count = counts.get(&kind).copied().unwrap_or(0);
                show(family, &PeerReason { peer, reason }, count);
            }
        }
    }

    /// A node asked to join.
    pub(crate) fn joined(&self, result: Joined) {
        self.joins.get_or_create(&Join { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use coracle_transport::PeerStats;

    use crate::metrics::Metrics;

    use super::*;

    fn peer(node: u64) -> PeerScene {
        PeerScene {
            node,
            connected: true,
            stats: PeerStats {
                rtt: Some(Duration::from_millis(1)),
                handshake_failures: BTreeMap::from([(FailureKind::Network, 7)]),
                ..PeerStats::default()
            },
        }
    }

    fn series_of(text: &str, node: u64) -> usize {
        let label = format!("peer=\"{node}\"");
        text.lines().filter(|line| line.contains(&label)).count()
    }

    #[test]
    fn a_node_that_has_left_leaves_no_series_and_the_counts_of_the_others_stay() {
        let metrics = Metrics::new();
        let both = Scene {
            peers: vec![peer(2), peer(3)],
            ..Scene::default()
        };
        let one = Scene {
            peers: vec![peer(3)],
            ..Scene::default()
        };

        let before = metrics.encode(&both);
        let after = metrics.encode(&one);

        assert_eq!(series_of(&before, 2), series_of(&before, 3));
        assert_eq!(series_of(&after, 2), 0, "{after}");
        assert_eq!(series_of(&after, 3), series_of(&before, 3));
        assert!(
            after.contains(r#"connect_failures_total{peer="3",reason="network"} 7"#),
            "{after}"
        );
    }
}
