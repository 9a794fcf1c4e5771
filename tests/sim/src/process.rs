//! One node: the production objects, with what a host would put around them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use coracle_driver::fsm::native_kv::NativeKvs;
use coracle_driver::fsm::{
    Freshness, Reader as Queries, ReaderOptions, Worker, WorkerContext, WorkerOptions,
};
use coracle_driver::{
    Entropy, Event, Floor, Log, LogReader, Machines, Node, Recovered, ReplicaKind, Snapshots, Write,
};
use coracle_log::{MemoryDisk, Options, Reader, SnapshotFiles, Store};
use coracle_proto::{GroupId, NodeId, Term};

use crate::clock::Clock;
use crate::invariants::{Harm, Refusal};
use crate::memory_log::MemoryLog;
use crate::plan::{Plan, Storage};
use crate::random::Random;

/// So many of a thousand processes that end close their log before.
const ORDERLY_PER_MILLE: u64 = 300;

/// Wall-clock time at the beginning of a run, nanoseconds since the Unix epoch.
const EPOCH: u64 = 1_800_000_000_000_000_000;

/// A node of the cluster: what outlives its process, and the process if it runs.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) id: NodeId,
    /// What it stores on.
    pub(crate) disk: MemoryDisk,
    memory_log: MemoryLog,
    storage: Storage,
    random: Random,
    /// Counts its lives, so that what belongs to an earlier one is known.
    pub(crate) life: u64,
    /// Stands still until then.
    pub(crate) paused_until: u64,
    /// What was done to its disk.
    pub(crate) harms: BTreeSet<Harm>,
    /// How often it stopped because of damage.
    pub(crate) damaged_stops: u64,
    /// The disk takes so many times as long until then.
    pub(crate) slow: (u64, u64),
    /// The disk does nothing until then.
    pub(crate) hung_until: u64,
    /// Plugins that are here.
    pub(crate) plugins: Arc<NativeKvs>,
    /// Its disk has lost what it had promised: it never runs again.
    pub(crate) lost: bool,
    /// Its monotonic clock.
    pub(crate) clock: Clock,
    /// By how much its calendar is wrong, in nanoseconds.
    pub(crate) skew: i64,
    /// The running process.
    pub(crate) running: Option<Running>,
}

/// Both sides of a log, and what it held.
struct Opened {
    log: Box<dyn Log>,
    reader: Arc<dyn LogReader>,
    /// Of the log on the disk: knows how much room there is.
    room: Option<Reader>,
    recovered: Recovered,
}

/// Room that a disk keeps for votes, and below which commands are refused, in runs with full disks.
const BALLAST_BYTES: u64 = 32 << 10;
const LOW_WATER_BYTES: u64 = 48 << 10;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Consensus.
    pub(crate) node: Node,
    /// State machines.
    pub(crate) workers: BTreeMap<GroupId, Worker>,
    /// What answers queries.
    pub(crate) readers: BTreeMap<GroupId, Queries>,
    /// How old the states are.
    pub(crate) freshness: Freshness,
    /// The writer's side of the log.
    pub(crate) log: Box<dyn Log>,
    reader: Arc<dyn LogReader>,
    room: Option<Reader>,
    /// The node was told that there is little room.
    pub(crate) low: bool,
    /// Snapshot files.
    pub(crate) snapshots: SnapshotFiles,
    /// Events for the next turn.
    pub(crate) inbox: Vec<Event>,
    /// When that is.
    pub(crate) turn_at: Option<u64>,
    /// Being written.
    pub(crate) writing: Vec<Write>,
    /// To be written next.
    pub(crate) waiting: Vec<Write>,
    /// Workers that have a run before them.
    pub(crate) busy: BTreeSet<GroupId>,
    /// Groups whose workers stand still and are being helped.
    pub(crate) healing: BTreeSet<GroupId>,
    /// Terms as the node last reported them.
    pub(crate) terms: BTreeMap<GroupId, Term>,
}

impl Process {
    /// A node that never ran.
    pub(crate) fn new(id: NodeId, plan: &Plan, mut random: Random) -> Self {
        let drift = match plan.faults.clock {
            true => random.between(0, 100_000) as i64 - 50_000,
            false => 0,
        };
        Self {
            id,
            disk: MemoryDisk::new(),
            memory_log: MemoryLog::default(),
            storage: plan.storage,
            random,
            life: 0,
            paused_until: 0,
            harms: BTreeSet::new(),
            damaged_stops: 0,
            slow: (1, 0),
            hung_until: 0,
            plugins: Arc::new(NativeKvs::new()),
            lost: false,
            clock: Clock::new(drift),
            skew: 0,
            running: None,
        }
    }

    /// Its calendar.
    pub(crate) fn wall(&self, now: u64) -> u64 {
        (EPOCH + now).saturating_add_signed(self.skew)
    }

    /// Starts it; what it found.
    pub(crate) fn start(&mut self, plan: &Plan, now: u64) -> Result<Recovered, Refusal> {
        self.life += 1;
        self.harms.remove(&Harm::Power);
        let opened = self.open(plan)?;
        let Opened {
            log,
            reader,
            room,
            recovered,
        } = opened;
        let disk = Arc::new(self.disk.clone());
        let snapshots = SnapshotFiles::open(disk, Path::new("snapshots"));
        let snapshots = snapshots.map_err(|error| Refusal::from(&error))?;
        let config = plan.settings.config(self.id);
        let entropy = Box::new(SeededEntropy(self.random.fork()));
        let seed = self.random.next();
        let log_reader = Arc::clone(&reader);
        let now = self.clock.at(now);
        let node = Node::new(config, &recovered, log_reader, entropy, now, seed);
        let mut running = Running {
            node,
            workers: BTreeMap::new(),
            readers: BTreeMap::new(),
            freshness: Freshness::default(),
            log,
            reader,
            room,
            low: false,
            snapshots,
            inbox: Vec::new(),
            turn_at: None,
            writing: Vec::new(),
            waiting: Vec::new(),
            busy: BTreeSet::new(),
            healing: BTreeSet::new(),
            terms: BTreeMap::new(),
        };
        for (group, found) in &recovered.groups {
            if found.kind(self.id) == ReplicaKind::Full {
                running.host(plan, &self.plugins, *group, &found.floor);
            }
            let term = found.initial.hard_state.term;
            running.terms.insert(*group, term);
        }
        self.running = Some(running);
        Ok(recovered)
    }

    fn open(&self, plan: &Plan) -> Result<Opened, Refusal> {
        if self.storage == Storage::Memory {
            let log = self.memory_log.clone();
            return Ok(Opened {
                recovered: log.recovered(),
                reader: Arc::new(log.clone()),
                log: Box::new(log),
                room: None,
            });
        }
        let (ballast_bytes, low_water_bytes) = match plan.faults.full {
            true => (BALLAST_BYTES, LOW_WATER_BYTES),
            false => (0, 0),
        };
        let options = Options {
            node: self.id,
            store: [self.id.0 as u8; 16],
            cache_bytes: 1 << 20,
            recent_bytes: 4 << 10,
            ballast_bytes,
            low_water_bytes,
            anchor_commits: plan.settings.anchor_commits,
            garbage_bytes: 16 << 10,
            ..Options::default()
        };
        let opened = Store::open(Arc::new(self.disk.clone()), options);
        let (store, reader, recovered) = opened.map_err(|error| Refusal::from(&error))?;
        Ok(Opened {
            log: Box::new(store),
            reader: Arc::new(reader.clone()),
            room: Some(reader),
            recovered,
        })
    }

    /// Nothing goes wrong from now on. What is broken stays so.
    pub(crate) fn heal(&mut self) {
        self.paused_until = 0;
        self.skew = 0;
        (self.slow, self.hung_until) = ((1, 0), 0);
        self.disk.clear_fault();
        self.disk.set_capacity(None);
        self.disk.set_lying(None);
    }

    /// Whether files on its disk may be other than they were written.
    pub(crate) fn is_damaged(&self) -> bool {
        let damage = [Harm::Dropped, Harm::Lie, Harm::Damage];
        damage.iter().any(|harm| self.harms.contains(harm))
    }

    /// An empty disk takes the place of the one it had.
    pub(crate) fn wipe(&mut self) {
        self.disk.wipe();
        self.memory_log = MemoryLog::default();
    }

    /// Stops it at once. Returns what was being written, which may or may not have become durable.
    pub(crate) fn stop(&mut self, power: bool) -> Vec<Write> {
        let Some(mut running) = self.running.take() else {
            return Vec::new();
        };
        let writes = std::mem::take(&mut running.writing);
        if self.random.chance(600) && !writes.is_empty() {
            if power && !self.harms.contains(&Harm::Power) {
                let operations = self.random.below(12);
                self.disk.fail_after(operations, coracle_log::Fault::Crash);
            }
            // Whether it worked nobody will know.
            let _ = running.log.commit(&writes);
        }
        // Some are only asked to stop.
        let orderly = !power && self.random.chance(ORDERLY_PER_MILLE);
        self.end(running, power, orderly);
        writes
    }
}

impl Running {
    /// Starts the worker of a group.
    pub(crate) fn host(
        &mut self,
        plan: &Plan,
        plugins: &Arc<NativeKvs>,
        group: GroupId,
        floor: &Floor,
    ) {
        let context = WorkerContext {
            log: Arc::clone(&self.reader),
            snapshots: Arc::new(self.snapshots.clone()) as Arc<dyn Snapshots>,
            machines: Arc::clone(plugins) as Arc<dyn Machines>,
            options: WorkerOptions {
                checkpoint_entries: plan.settings.checkpoint_entries,
                ..WorkerOptions::default()
            },
        };
        let worker = Worker::new(group, context.clone(), floor);
        let options = ReaderOptions::default();
        let reader = Queries::new(group, context, worker.published(), options);
        self.workers.insert(group, worker);
        self.readers.insert(group, reader);
    }
}

impl Running {
    /// Whether there is little room on the disk, if that has changed.
    pub(crate) fn room_changed(&mut self) -> Option<bool> {
        let low = self.room.as_ref()?.low_on_space();
        (std::mem::replace(&mut self.low, low) != low).then_some(low)
    }
}

/// Random bytes for entries, from the seed.
#[derive(Debug)]
struct SeededEntropy(Random);

impl Entropy for SeededEntropy {
    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next().to_le_bytes());
        }
        bytes
    }
}

impl Process {
    fn end(&mut self, running: Running, power: bool, orderly: bool) {
        let running = (!orderly).then_some(running);
        match power {
            true => self.disk.crash(self.random.next()),
            false => self.disk.restart(),
        }
        // It finds its files dead, and closes nothing.
        drop(running);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_killed_process_closes_nothing_in_an_orderly_way() {
        let plan = Plan {
            storage: Storage::Redb,
            ..Plan::of(0)
        };
        let mut process = Process::new(NodeId(1), &plan, Random::new(1));
        process.start(&plan, 0).unwrap();
        let log = |process: &Process| process.disk.contents(Path::new("log/log.redb"));
        let before = log(&process);
        let running = process.running.take().unwrap();
        process.end(running, false, false);
        assert!(log(&process) == before, "the log was written to");

        process.start(&plan, 0).unwrap();
        let before = log(&process);
        let running = process.running.take().unwrap();
        process.end(running, false, true);
        assert!(log(&process) != before, "the log was not closed");
    }
}
