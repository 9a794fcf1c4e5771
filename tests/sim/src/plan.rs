//! What a seed means: the cluster, its settings, and the kinds of fault that may happen (a swarm:
//! each seed draws a set of its own, so that kinds do not hide one another).

use serde::{Deserialize, Serialize};

use crate::atlas::Atlas;
use crate::random::Random;
use crate::settings::Settings;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// One seed in so many is a [duel](Plan::duel), one a [churn](Plan::churn), one a [rot](Plan::rot).
const SPECIAL_EVERY: u64 = 8;

/// One seed in so many is a [relapse](Plan::relapse).
const RELAPSE_EVERY: u64 = 32;

/// In so many of a thousand rots any disk may be damaged, so that most of them often are.
const ALL_ROT_PER_MILLE: u64 = 250;

/// Which log the nodes of a run have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Storage {
    /// The production log on a simulated disk.
    Redb,
    /// A log in memory, a hundred times as fast.
    #[default]
    Memory,
}

/// The kinds of fault of one run. Zero or false: none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Messages lost, in a thousand.
    pub drop: u64,
    /// Messages delivered twice, in a thousand.
    pub duplicate: u64,
    /// Messages held back for long, in a thousand.
    pub delay: u64,
    /// Old messages that arrive again, in a thousand, also after restarts of both ends.
    pub replay: u64,
    /// Cuts between nodes, both ways, rings and bridges.
    pub partition: bool,
    /// Cuts one way.
    pub one_way: bool,
    /// Cuts that come and go.
    pub flap: bool,
    /// Directions in which everything piles up for a while.
    pub clog: bool,
    /// Connections that break and take everything in flight with them.
    pub reset: bool,
    /// Processes killed.
    pub kill: bool,
    /// Leaders killed as soon as they lead, one after the other (thesis, figure 3.7).
    pub hunt: bool,
    /// Power cuts: what was not synced is lost or torn.
    pub power: bool,
    /// Disks that fail a read, a write or a sync.
    pub disk_error: bool,
    /// Disks without room.
    pub full: bool,
    /// Bits that turn, at rest and on their way from the disk.
    pub flip: bool,
    /// Syncs that do nothing.
    pub lie: bool,
    /// Slow disks and hung ones.
    pub slow: bool,
    /// Disks that are lost as a whole; another node takes the place.
    pub wipe: bool,
    /// Processes that stand still for a while, also for longer than a lease.
    pub pause: bool,
    /// Snapshot transfers that break off or arrive damaged.
    pub transfer: bool,
    /// Disks said to be nearly full.
    pub low_space: bool,
    /// Calendars that jump, clocks that run too fast or too slow.
    pub clock: bool,
    /// Connections reported lost, elections without need.
    pub alarm: bool,
    /// Members added, promoted, demoted, removed, alone or several at once, and witnesses.
    pub members: bool,
    /// Leadership handed over, leaders forgotten, priorities changed.
    pub leadership: bool,
    /// State machines replaced by others, some of which fail.
    pub upgrade: bool,
    /// Snapshots that users take away and restore from later.
    pub import: bool,
    /// Changes of leader or members that something else befalls while they are under way.
    pub sequels: bool,
}

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whose disks may be damaged.
    #[serde(default)]
    pub atlas: Atlas,
    /// Mean time between two faults, in nanoseconds.
    pub fault_interval: u64,
    /// Reads in a thousand that are lease reads.
    pub leases: u64,
    /// Commands in a thousand that trap the state machine.
    pub traps: u64,
    /// Settings of the nodes.
    pub settings: Settings,
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
            5 => plan.rot(),
            7 => plan.duel(),
            1 if seed % RELAPSE_EVERY == 1 => plan.relapse(),
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
            atlas: Atlas::default(),
            settings: Settings {
                election_timeout: 150,
                heartbeat_interval: 15,
                max_append_entries: 1,
                ..self.settings
            },
            ..self
        }
    }

    /// Leaders that are cut off with an entry of each client that nobody else has, and come back when the
    /// next one has a snapshot already, but not yet as many entries.
    #[must_use]
    pub fn relapse(self) -> Self {
        Self {
            nodes: 3,
            spares: 0,
            groups: 1,
            clients: 12,
            storage: Storage::Memory,
            safety: 10_000 * MS,
            faults: Faults {
                partition: true,
                ..Faults::default()
            },
            fault_interval: 225 * MS,
            atlas: Atlas::default(),
            network_latency: 2 * MS,
            disk_latency: MS,
            settings: Settings {
                election_timeout: 150,
                heartbeat_interval: 15,
                clock_drift: 18,
                max_group_commands: 1,
                max_queued_commands: 256,
                max_inflight_groups: 256,
                max_uncommitted_bytes: 1 << 20,
                checkpoint_entries: 1,
                retained_entries: 0,
                ..self.settings
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
                low_space: false,
                ..self.faults.clone().without_damage()
            },
            atlas: Atlas::default(),
            fault_interval: 150 * MS,
            ..self
        }
    }

    /// Disks that damage and lose what they hold, one fault after the other, in a cluster that has
    /// nothing else to do: most damage is noticed only when it is read again.
    fn rot(self) -> Self {
        let mut random = Random::new(self.seed ^ 0x0007_0770_d15c_0000);
        let all = random.chance(ALL_ROT_PER_MILLE);
        let nodes = if all { 3 } else { self.nodes.max(3) };
        let lie = random.chance(500);
        let faults = Faults {
            kill: true,
            power: lie || random.chance(500),
            disk_error: random.chance(500),
            flip: random.chance(700),
            lie,
            full: random.chance(300),
            ..Faults::default()
        };
        Self {
            nodes,
            spares: 0,
            groups: 1,
            storage: Storage::Redb,
            safety: 5000 * MS,
            atlas: match all {
                true => Atlas::all(nodes),
                false => Atlas::draw(nodes, &mut random),
            },
            fault_interval: 120 * MS,
            settings: Settings {
                anchor_commits: faults.anchor_commits(),
                ..self.settings
            },
            faults,
            ..self
        }
    }

    fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0005_eed0_f91a_4000);
        let nodes = *random.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 5, 5]);
        let mut faults = faults(&mut random);
        faults.sequels = Random::new(seed ^ 0x0005_e90e_15ea_4000).chance(400);
        let atlas = Atlas::draw(nodes, &mut random);
        // Who is lost with its disk counts as a voter for ever, or is replaced; either way members
        // must not change under the atlas' feet.
        if faults.members || atlas.nodes.is_empty() {
            faults = faults.without_damage();
        }
        // The log is on the disk in a quarter of the runs, and where that is the point of it.
        let harmed = faults.flip || faults.lie || faults.disk_error || faults.full;
        let storage = match random.below(4) {
            0 => Storage::Redb,
            1 if harmed => Storage::Redb,
            _ => Storage::Memory,
        };
        let seconds = match storage {
            Storage::Redb => random.between(3, 8),
            Storage::Memory => random.between(6, 16),
        };
        // Nobody could say what is lost with most of the disks.
        faults.wipe &= !atlas.unbounded;
        let mut settings = Settings::draw(&mut random);
        settings.anchor_commits = faults.anchor_commits();
        Self {
            seed,
            nodes,
            spares: match (faults.members, faults.wipe) {
                (true, _) => random.between(1, 2),
                (false, true) => atlas.nodes.len() as u64,
                (false, false) => 0,
            },
            groups: if random.chance(250) { 2 } else { 1 },
            clients: *random.pick(&[1, 3, 6, 10]),
            storage,
            safety: seconds * 1000 * MS,
            liveness: 60_000 * MS,
            faults,
            atlas,
            fault_interval: *random.pick(&[150, 400, 1000]) * MS,
            leases: *random.pick(&[0, 300, 900]),
            traps: *random.pick(&[0, 0, 10, 40]),
            settings,
            disk_latency: *random.pick(&[1, 4, 15]) * MS,
            network_latency: *random.pick(&[2, 8, 25]) * MS,
        }
    }
}

impl Faults {
    /// Commits until the anchor is synced. What is younger is lost and nobody knows if the power
    /// takes the anchor's notes and the log falls back as well, by a lie or by damage.
    fn anchor_commits(&self) -> u64 {
        match self.lie || (self.flip && self.power) {
            true => 1,
            false => 8,
        }
    }

    /// Whether disks may give back what was not written to them.
    pub fn harms_disks(&self) -> bool {
        self.flip || self.lie || self.disk_error
    }

    /// Without what makes a disk lose what it has promised to keep.
    fn without_damage(self) -> Self {
        Self {
            disk_error: false,
            flip: false,
            lie: false,
            wipe: false,
            ..self
        }
    }
}

fn faults(random: &mut Random) -> Faults {
    let mut rate = |rates: &[u64]| *random.pick(rates);
    let members = rate(&[0, 0, 1]) == 1;
    Faults {
        drop: rate(&[0, 0, 20, 150]),
        duplicate: rate(&[0, 0, 30, 150]),
        delay: rate(&[0, 0, 20, 100]),
        replay: rate(&[0, 0, 20, 100]),
        partition: rate(&[0, 1]) == 1,
        one_way: rate(&[0, 0, 1]) == 1,
        flap: rate(&[0, 0, 1]) == 1,
        clog: rate(&[0, 0, 1]) == 1,
        reset: rate(&[0, 0, 1]) == 1,
        kill: rate(&[0, 1]) == 1,
        hunt: rate(&[0, 0, 1]) == 1,
        power: rate(&[0, 1]) == 1,
        disk_error: rate(&[0, 0, 1]) == 1,
        full: rate(&[0, 0, 0, 1]) == 1,
        flip: rate(&[0, 0, 1]) == 1,
        lie: rate(&[0, 0, 0, 1]) == 1,
        slow: rate(&[0, 0, 1]) == 1,
        wipe: rate(&[0, 0, 0, 1]) == 1,
        pause: rate(&[0, 0, 1]) == 1,
        transfer: rate(&[0, 1]) == 1,
        low_space: rate(&[0, 0, 0, 1]) == 1,
        clock: rate(&[0, 0, 1]) == 1,
        alarm: rate(&[0, 0, 1]) == 1,
        members,
        leadership: rate(&[0, 1]) == 1,
        upgrade: rate(&[0, 0, 1]) == 1,
        import: rate(&[0, 0, 1]) == 1,
        sequels: false,
    }
}
