//! What a seed means: the cluster, its settings, and the kinds of fault that may happen (a swarm:
//! each seed draws a set of its own, so that kinds do not hide one another).

use std::time::Duration;

use coracle_driver::NodeConfig;
use coracle_driver::fsm::WorkerOptions;
use coracle_proto::NodeId;

use crate::random::Random;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// One seed in so many is a [duel](Plan::duel), and one a [churn](Plan::churn).
const SPECIAL_EVERY: u64 = 8;

/// Which log the nodes of a run have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// The production log on a simulated disk.
    Redb,
    /// A log in memory, a hundred times as fast.
    Memory,
}

/// The kinds of fault of one run. Zero or false: none of it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Messages lost, in a thousand.
    pub drop: u64,
    /// Messages delivered twice, in a thousand.
    pub duplicate: u64,
    /// Messages held back for long, in a thousand.
    pub delay: u64,
    /// Cuts between nodes, both ways.
    pub partition: bool,
    /// Cuts one way.
    pub one_way: bool,
    /// Processes killed.
    pub kill: bool,
    /// Leaders killed as soon as they lead, one after the other (thesis, figure 3.7).
    pub hunt: bool,
    /// Power cuts: what was not synced is lost or torn.
    pub power: bool,
    /// Disks that fail a write or a sync.
    pub disk_error: bool,
    /// Processes that stand still for a while.
    pub pause: bool,
    /// Snapshot transfers that break off or arrive damaged.
    pub transfer: bool,
    /// Disks said to be nearly full.
    pub low_space: bool,
    /// Clocks that jump.
    pub clock: bool,
    /// Connections reported lost, elections without need.
    pub alarm: bool,
    /// Members added, promoted, demoted, removed, alone or several at once, and witnesses.
    pub members: bool,
    /// Leadership handed over, leaders forgotten, priorities changed.
    pub leadership: bool,
}

/// Everything about one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// Nodes that are voters from the beginning, with the ids 1 to `nodes`.
    pub nodes: u64,
    /// Nodes with empty disks that may be added, with the ids after those.
    pub spares: u64,
    /// Groups, with the ids 1 to `groups`.
    pub groups: u64,
    /// Clients.
    pub clients: u64,
    /// The nodes' log.
    pub storage: Storage,
    /// How long the faults last, in nanoseconds of simulated time.
    pub safety: u64,
    /// Within how much time after them everything must be well, in nanoseconds.
    pub liveness: u64,
    /// The kinds of fault.
    pub faults: Faults,
    /// Mean time between two faults, in nanoseconds.
    pub fault_interval: u64,
    /// Reads in a thousand that are lease reads.
    pub leases: u64,
    /// Commands in a thousand that trap the state machine.
    pub traps: u64,
    /// Settings of the nodes; the id is that of each node.
    pub node: NodeConfig,
    /// Settings of the workers.
    pub worker: WorkerOptions,
    /// Longest time a write takes, in nanoseconds.
    pub disk_latency: u64,
    /// Longest ordinary time of a message, in nanoseconds.
    pub network_latency: u64,
}

impl Plan {
    /// All nodes, spares included.
    pub fn all_nodes(&self) -> u64 {
        self.nodes + self.spares
    }

    /// What this seed means.
    pub fn of(seed: u64) -> Self {
        let plan = Self::drawn(seed);
        match seed % SPECIAL_EVERY {
            3 => plan.churn(),
            7 => plan.duel(),
            _ => plan,
        }
    }

    /// Leaders that die within a message's time of their election, entries that travel one by
    /// one, and no other faults: histories like figure 3.7 of the thesis, in which an entry of an
    /// old term is on a majority and yet not safe.
    fn duel(self) -> Self {
        Self {
            nodes: 3,
            spares: 0,
            groups: 1,
            storage: Storage::Memory,
            safety: 20_000 * MS,
            faults: Faults {
                hunt: true,
                ..Faults::default()
            },
            fault_interval: 1000 * MS,
            network_latency: 25 * MS,
            disk_latency: MS,
            node: NodeConfig {
                election_timeout: Duration::from_millis(150),
                heartbeat_interval: Duration::from_millis(15),
                max_append_entries: 1,
                ..self.node
            },
            ..self
        }
    }

    /// Members and leaders that change all the time, in a cluster that is otherwise well enough
    /// for most of the changes to be made.
    fn churn(self) -> Self {
        Self {
            nodes: 3,
            spares: 2,
            safety: 20_000 * MS,
            storage: Storage::Memory,
            faults: Faults {
                members: true,
                leadership: true,
                partition: false,
                hunt: false,
                disk_error: false,
                low_space: false,
                ..self.faults
            },
            fault_interval: 150 * MS,
            ..self
        }
    }

    fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0005_eed0_f91a_4000);
        let storage = match random.below(4) {
            0 => Storage::Redb,
            _ => Storage::Memory,
        };
        let nodes = *random.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 5, 5]);
        let seconds = match storage {
            Storage::Redb => random.between(3, 8),
            Storage::Memory => random.between(6, 16),
        };
        let checkpoint_entries = *random.pick(&[12, 25, 60, 10_000]);
        let faults = faults(&mut random);
        Self {
            seed,
            nodes,
            spares: match faults.members {
                true => random.between(1, 2),
                false => 0,
            },
            groups: if random.chance(250) { 2 } else { 1 },
            clients: *random.pick(&[1, 3, 6, 10]),
            storage,
            safety: seconds * 1000 * MS,
            liveness: 60_000 * MS,
            faults,
            fault_interval: *random.pick(&[150, 400, 1000]) * MS,
            leases: *random.pick(&[0, 300, 900]),
            traps: *random.pick(&[0, 0, 10, 40]),
            node: node(&mut random),
            worker: WorkerOptions {
                checkpoint_entries,
                ..WorkerOptions::default()
            },
            disk_latency: *random.pick(&[1, 4, 15]) * MS,
            network_latency: *random.pick(&[2, 8, 25]) * MS,
        }
    }
}

fn faults(random: &mut Random) -> Faults {
    let mut rate = |rates: &[u64]| *random.pick(rates);
    let members = rate(&[0, 1]) == 1;
    Faults {
        drop: rate(&[0, 0, 20, 150]),
        duplicate: rate(&[0, 0, 30, 150]),
        delay: rate(&[0, 0, 20, 100]),
        partition: rate(&[0, 1]) == 1,
        one_way: rate(&[0, 0, 1]) == 1,
        kill: rate(&[0, 1]) == 1,
        hunt: rate(&[0, 0, 1]) == 1,
        power: rate(&[0, 1]) == 1,
        // A node whose disk failed may be lost for good: who votes then must not change.
        disk_error: rate(&[0, 0, 1]) == 1 && !members,
        pause: rate(&[0, 0, 1]) == 1,
        transfer: rate(&[0, 1]) == 1,
        low_space: rate(&[0, 0, 0, 1]) == 1,
        clock: rate(&[0, 0, 1]) == 1,
        alarm: rate(&[0, 0, 1]) == 1,
        members,
        leadership: rate(&[0, 1]) == 1,
    }
}

/// Sizes are small on purpose, so that their bounds are hit.
fn node(random: &mut Random) -> NodeConfig {
    let election = *random.pick(&[150, 300, 600]);
    NodeConfig {
        election_timeout: Duration::from_millis(election),
        heartbeat_interval: Duration::from_millis(election / 10),
        pre_vote: !random.chance(150),
        check_quorum: true,
        // Clocks run up to five per cent too fast or too slow.
        clock_drift: Duration::from_millis(election / 8),
        quiesce_after: *random.pick(&[0, 0, 1, 4]),
        max_append_bytes: *random.pick(&[64, 1000, 1 << 20]),
        max_append_entries: *random.pick(&[1, 4, 64]),
        max_inflight_appends: *random.pick(&[1, 3, 32]),
        max_inflight_bytes: *random.pick(&[256, 1 << 20]),
        max_uncommitted_bytes: *random.pick(&[600, 1 << 20]),
        cache_bytes: *random.pick(&[0, 500, 1 << 20]),
        max_pending_reads: *random.pick(&[1, 64]),
        max_group_commands: *random.pick(&[1, 3, 256]),
        max_queued_commands: *random.pick(&[1, 256]),
        max_inflight_groups: *random.pick(&[1, 4, 256]),
        max_log_reads: *random.pick(&[1, 16]),
        max_log_read_bytes: *random.pick(&[1, 1 << 20]),
        retained_entries: *random.pick(&[0, 5, 40]),
        applied_hint_entries: *random.pick(&[1, 16]),
        ..NodeConfig::new(NodeId(0))
    }
}
