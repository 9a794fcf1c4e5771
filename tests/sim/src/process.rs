//! One node: the production objects, with what a host would put around them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use coracle_driver::fsm::native_kv::NativeKvs;
use coracle_driver::fsm::{Worker, WorkerContext};
use coracle_driver::{
    Entropy, Event, Floor, Log, LogReader, Node, NodeConfig, Recovered, ReplicaKind, Snapshots,
    Write,
};
use coracle_log::{MemoryDisk, Options, SnapshotFiles, Store};
use coracle_proto::{GroupId, Instant, NodeId, Term};

use crate::memory_log::MemoryLog;
use crate::plan::{Plan, Storage};
use crate::random::Random;

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
    /// A fault was set for its disk: it is expected to stop with an error.
    pub(crate) doomed: Option<Doom>,
    /// Its disk has failed a sync once.
    pub(crate) tainted: bool,
    /// Its disk has lost what it had promised: it never runs again.
    pub(crate) lost: bool,
    /// How much too fast its clock runs, in millionths.
    drift: i64,
    /// By how much its calendar is wrong, in nanoseconds.
    pub(crate) skew: i64,
    /// The running process.
    pub(crate) running: Option<Running>,
}

/// Both sides of a log, and what it held.
type Opened = (Box<dyn Log>, Arc<dyn LogReader>, Recovered);

/// How a node with a fault is going to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doom {
    /// The power goes.
    Power,
    /// The disk reports an error.
    DiskError,
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Consensus.
    pub(crate) node: Node,
    /// State machines.
    pub(crate) workers: BTreeMap<GroupId, Worker>,
    /// The writer's side of the log.
    pub(crate) log: Box<dyn Log>,
    reader: Arc<dyn LogReader>,
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
            doomed: None,
            tainted: false,
            lost: false,
            drift,
            skew: 0,
            running: None,
        }
    }

    /// Its monotonic clock at this time of the world.
    pub(crate) fn clock(&self, now: u64) -> Instant {
        let drift = i128::from(now) * i128::from(self.drift) / 1_000_000;
        Instant((i128::from(now) + drift).max(0) as u64)
    }

    /// The time of the world at which its clock has reached `deadline`.
    pub(crate) fn when(&self, deadline: Instant) -> u64 {
        let rate = i128::from(1_000_000 + self.drift);
        (i128::from(deadline.0) * 1_000_000 / rate) as u64 + 1
    }

    /// Its calendar.
    pub(crate) fn wall(&self, now: u64) -> u64 {
        (EPOCH + now).saturating_add_signed(self.skew)
    }

    /// Starts it; what it found. The error is that of its log or snapshots.
    pub(crate) fn start(&mut self, plan: &Plan, now: u64) -> Result<Recovered, String> {
        self.life += 1;
        self.doomed = None;
        let (log, reader, recovered) = self.open()?;
        let disk = Arc::new(self.disk.clone());
        let snapshots = SnapshotFiles::open(disk, Path::new("snapshots"));
        let snapshots = snapshots.map_err(|error| error.to_string())?;
        let config = NodeConfig {
            id: self.id,
            ..plan.node.clone()
        };
        let entropy = Box::new(SeededEntropy(self.random.fork()));
        let seed = self.random.next();
        let log_reader = Arc::clone(&reader);
        let now = self.clock(now);
        let node = Node::new(config, &recovered, log_reader, entropy, now, seed);
        let mut running = Running {
            node,
            workers: BTreeMap::new(),
            log,
            reader,
            snapshots,
            inbox: Vec::new(),
            turn_at: None,
            writing: Vec::new(),
            waiting: Vec::new(),
            busy: BTreeSet::new(),
            terms: BTreeMap::new(),
        };
        for (group, found) in &recovered.groups {
            if found.kind(self.id) == ReplicaKind::Full {
                running.host(plan, *group, &found.floor);
            }
            let term = found.initial.hard_state.term;
            running.terms.insert(*group, term);
        }
        self.running = Some(running);
        Ok(recovered)
    }

    fn open(&self) -> Result<Opened, String> {
        if self.storage == Storage::Memory {
            let recovered = self.memory_log.recovered();
            let log = self.memory_log.clone();
            return Ok((Box::new(log.clone()), Arc::new(log), recovered));
        }
        let options = Options {
            node: self.id,
            store: [self.id.0 as u8; 16],
            cache_bytes: 1 << 20,
            recent_bytes: 4 << 10,
            ballast_bytes: 0,
            low_water_bytes: 0,
            anchor_commits: 8,
            garbage_bytes: 16 << 10,
            ..Options::default()
        };
        let opened = Store::open(Arc::new(self.disk.clone()), options);
        let (store, reader, recovered) = opened.map_err(|error| error.to_string())?;
        Ok((Box::new(store), Arc::new(reader), recovered))
    }

    /// Stops it at once. Returns what was being written, which may or may not have become durable.
    pub(crate) fn stop(&mut self, power: bool) -> Vec<Write> {
        let Some(mut running) = self.running.take() else {
            return Vec::new();
        };
        let writes = std::mem::take(&mut running.writing);
        if self.random.chance(600) && !writes.is_empty() {
            if power && self.doomed.is_none() {
                let operations = self.random.below(12);
                self.disk.fail_after(operations, coracle_log::Fault::Crash);
            }
            // Whether it worked nobody will know.
            let _ = running.log.commit(&writes);
        }
        drop(running);
        match power {
            true => self.disk.crash(self.random.next()),
            false => self.disk.restart(),
        }
        self.doomed = None;
        writes
    }
}

impl Running {
    /// Starts the worker of a group.
    pub(crate) fn host(&mut self, plan: &Plan, group: GroupId, floor: &Floor) {
        let context = WorkerContext {
            log: Arc::clone(&self.reader),
            snapshots: Arc::new(self.snapshots.clone()) as Arc<dyn Snapshots>,
            machines: Arc::new(NativeKvs::new()),
            options: plan.worker,
        };
        let worker = Worker::new(group, context, floor);
        self.workers.insert(group, worker);
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
