//! How fast the simulator is: a cluster under load without faults, with every invariant on.

use crate::atlas::Atlas;
use crate::plan::{Faults, MS, Plan, Storage};
use crate::settings::Settings;

/// Simulated time of a measurement, nanoseconds.
const TIME: u64 = 60_000 * MS;

/// Entries of one append, at most, and so of one commit.
const ENTRIES: usize = 4;

/// A cluster of three with this log, whose disks and network are fast, so that nobody waits.
pub fn plan(storage: Storage) -> Plan {
    Plan {
        nodes: 3,
        spares: 0,
        groups: 1,
        clients: 6,
        storage,
        safety: TIME,
        faults: Faults::default(),
        atlas: Atlas::default(),
        traps: 0,
        leases: 0,
        settings: Settings {
            max_append_entries: ENTRIES,
            max_group_commands: 1,
            max_inflight_groups: ENTRIES as u64,
            checkpoint_entries: 1000,
            ..Settings::default()
        },
        disk_latency: MS,
        network_latency: 2 * MS,
        ..Plan::of(1)
    }
}
