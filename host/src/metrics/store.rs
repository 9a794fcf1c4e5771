//! The log and the disk.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Scene;
use super::catalogue::{Catalogue, Fraction, set};
use super::labels::{Fsm, Kind, Part};

/// The log and the disk.
#[derive(Debug)]
pub(crate) struct Store {
    entries: Family<Fsm, Gauge>,
    size: Family<Part, Gauge>,
    free: Gauge,
    used: Fraction,
    alarms: Family<Kind, Gauge>,
    /// One commit of the log, all groups that waited together, fsync included.
    pub(crate) append: Histogram,
    /// One fsync, of the log or of another file.
    pub(crate) fsync: Histogram,
    /// Commits of the log.
    pub(crate) commits: Counter,
    /// Writes of groups in them.
    pub(crate) writes: Counter,
    /// 1 while commands are refused for lack of space.
    pub(crate) low: Gauge,
}

impl Store {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            entries: c.gauges("log_entries", "Entries in the log here"),
            size: c.gauges(
                "store_size_bytes",
                "Bytes on the disk, by what they are for",
            ),
            free: c.gauge("store_free_bytes", "Bytes that are free on the disk"),
            used: c.fraction("disk_used_ratio", "Share of the disk that is used"),
            alarms: c.gauges("alarms", "1 while something needs the operator"),
            append: c.seconds(
                "log_append_seconds",
                "One commit of the log, of all groups that waited, fsync included",
            ),
            fsync: c.seconds("log_fsync_seconds", "One fsync"),
            commits: c.counter("log_commits", "Commits of the log"),
            writes: c.counter("log_writes", "Writes of groups in these commits"),
            low: c.gauge(
                "store_low_space",
                "1 while commands are refused for lack of space",
            ),
        }
    }

    pub(super) fn show(&self, scene: &Scene) {
        self.entries.clear();
        for group in &scene.groups {
            let fsm = group.fsm.clone();
            let status = &group.status;
            let entries = status.raft.last.index.saturating_sub(status.floor.index);
            set(&self.entries, &Fsm { fsm }, entries);
        }
        let store = &scene.store;
        for (part, bytes) in [
            ("log", store.log),
            ("snapshots", store.snapshots),
            ("plugins", store.plugins),
        ] {
            set(&self.size, &Part { part }, bytes);
        }
        self.free.set(i64::try_from(store.free).unwrap_or(i64::MAX));
        if store.total > 0 {
            self.used.set(1.0 - store.free as f64 / store.total as f64);
        }
        for (kind, raised) in [
            ("disk_full", self.low.get() != 0),
            ("node_failed", scene.failed),
        ] {
            set(&self.alarms, &Kind { kind }, u64::from(raised));
        }
    }
}
