//! Plans of the simulator, bent towards what a kind of bug needs: a coincidence that is one in ten
//! thousand under any faults is one in ten under the right ones.

use coracle_sim::Plan;
use coracle_sim::plan::{Faults, MS, Storage};

/// What the faults of a simulation are chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// As the seed means them.
    Any,
    /// As the seed means them, and leaders that die as soon as they lead.
    Hunt,
    /// Logs that fork: leaders that die or are cut off, messages that come late or twice.
    Forks,
    /// Leaders that are deposed without noticing.
    Deposed,
    /// The same with reads by lease, and leadership that is handed over.
    Leases,
    /// Members that change while leaders do.
    Members,
    /// Followers that need snapshots, and restart.
    Snapshots,
    /// Leaders that are cut off with much that nobody else has, and come back before the next one has as
    /// much, and a snapshot.
    Tails,
}

/// Long enough for dozens of faults, nanoseconds.
const SAFETY: u64 = 20_000 * MS;

/// Election timeout of the bent plans, milliseconds.
const ELECTION: u64 = 150;

/// Mean time between two faults: long enough for a new leader under the one before.
const INTERVAL: u64 = 3 * ELECTION * MS;

impl Shape {
    /// What a seed means in this shape.
    pub(super) fn plan(self, seed: u64) -> Plan {
        let plan = Plan::of(seed);
        match self {
            Self::Any => plan,
            Self::Hunt => hunt(plan),
            Self::Forks => forks(plan),
            Self::Deposed => deposed(plan),
            Self::Leases => leases(deposed(plan)),
            Self::Members => members(plan),
            Self::Snapshots => snapshots(plan),
            Self::Tails => plan.relapse(),
        }
    }
}

/// Three or five nodes on the log in memory, which is the fastest, and no faults.
fn plain(mut plan: Plan) -> Plan {
    plan.settings.election_timeout = ELECTION;
    plan.settings.heartbeat_interval = ELECTION / 10;
    plan.settings.clock_drift = ELECTION / 8;
    Plan {
        nodes: plan.nodes.clamp(3, 5),
        spares: 0,
        groups: 1,
        storage: Storage::Memory,
        safety: SAFETY,
        faults: Faults::default(),
        fault_interval: INTERVAL,
        ..plan
    }
}

fn hunt(mut plan: Plan) -> Plan {
    plan.faults.hunt = true;
    plan
}

fn forks(plan: Plan) -> Plan {
    let mut plan = plain(plan);
    plan.faults = Faults {
        delay: 60,
        duplicate: 60,
        replay: 60,
        hunt: plan.seed.is_multiple_of(2),
        kill: true,
        partition: true,
        one_way: true,
        ..Faults::default()
    };
    plan.settings.max_append_entries = 1 + (plan.seed % 3) as usize;
    plan
}

fn deposed(plan: Plan) -> Plan {
    let mut plan = plain(plan);
    plan.faults = Faults {
        delay: 100,
        duplicate: 100,
        partition: true,
        one_way: true,
        pause: true,
        ..Faults::default()
    };
    plan.network_latency = 2 * MS;
    plan.disk_latency = MS;
    plan.clients = 10;
    plan.leases = 0;
    plan.traps = 0;
    plan
}

fn leases(plan: Plan) -> Plan {
    let faults = Faults {
        alarm: true,
        leadership: true,
        replay: 60,
        sequels: true,
        ..plan.faults
    };
    Plan {
        faults,
        leases: 1000,
        fault_interval: INTERVAL / 2,
        ..plan
    }
}

fn members(plan: Plan) -> Plan {
    let mut plan = plain(plan);
    plan.spares = 2;
    plan.faults = Faults {
        delay: 60,
        duplicate: 60,
        replay: 60,
        kill: true,
        partition: true,
        members: true,
        leadership: true,
        sequels: true,
        ..Faults::default()
    };
    plan
}

fn snapshots(plan: Plan) -> Plan {
    let mut plan = forks(plan);
    plan.settings.checkpoint_entries = 6;
    plan.settings.retained_entries = 0;
    plan.settings.max_append_entries = 1;
    plan.faults.transfer = true;
    plan.faults.members = plan.seed % 4 == 1;
    plan.spares = if plan.faults.members { 1 } else { 0 };
    plan
}
