//! Counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened since the transport started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

/// Only ever goes up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}

counters! {
    /// Frames written to lanes.
    frames_sent,
    /// Envelopes in them.
    envelopes_sent,
    /// Their bytes.
    bytes_sent,
    /// Bytes that compression took out of them.
    bytes_saved,
    /// Envelopes not sent because the peer's version does not know them.
    envelopes_withheld,
    /// Frames read from lanes.
    frames_received,
    /// Envelopes in them.
    envelopes_received,
    /// Their bytes.
    bytes_received,
    /// Envelopes not sent: lane full, peer not connected or unknown, or too large.
    envelopes_dropped,
    /// Frames refused: malformed, too large, or with another sender than the connection's.
    frames_refused,
    /// Incoming connections refused: wrong cluster, kind, version, or too many.
    connections_refused,
    /// Outgoing connections made.
    connections_made,
    /// Those of them that replaced a lost one.
    reconnects,
    /// Requests handled for peers.
    requests_served,
    /// Requests turned away because too many were being handled.
    requests_refused,
    /// Joins answered.
    joins_served,
    /// Joins turned away: too many, too large, too slow, or not possible here.
    joins_refused,
    /// Bulk bytes written.
    bulk_bytes_sent,
    /// Bulk bytes read.
    bulk_bytes_received,
}
