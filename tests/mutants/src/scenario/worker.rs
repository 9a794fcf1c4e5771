//! A worker with a log in memory and real snapshot files: what stories about applying play on.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use coracle_driver::fsm::native_kv::NativeKvs;
use coracle_driver::fsm::{Worker, WorkerContext, WorkerOptions, WorkerState};
use coracle_driver::payload::{encode_commands, encode_host};
use coracle_driver::task::{Answer, Command, HostEntry, Outcome, Report, Task, Ticket};
use coracle_driver::{Digest, Floor, Limits, LogError, LogReader, MachineSpec, SnapshotRef};
use coracle_log::{MemoryDisk, SnapshotFiles};
use coracle_proto::{Configuration, Entry, EntryKind, GroupId, Index, LogId, NodeId, Term};

const GROUP: GroupId = GroupId(7);

/// Entries that a worker applies in one run.
const BUDGET: usize = 100;

/// The log: every entry that was ever appended.
#[derive(Debug, Default)]
struct Entries(Mutex<Vec<Entry>>);

impl LogReader for Entries {
    fn entries(
        &self,
        _: GroupId,
        from: Index,
        through: Index,
        _: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Entry| (from..=through).contains(&entry.index);
        Ok(entries.iter().filter(wanted).cloned().collect())
    }
}

/// A replica of a state machine.
pub(super) struct Rig {
    log: Arc<Entries>,
    context: WorkerContext,
    worker: Worker,
    answers: Vec<(Ticket, Answer)>,
    snapshot: Option<SnapshotRef>,
    tickets: u64,
}

fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([1; 32]),
        config: Vec::new(),
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

fn floor(snapshot: Option<SnapshotRef>) -> Floor {
    Floor {
        last: snapshot.as_ref().map_or(LogId::default(), |it| it.last),
        configuration: Configuration::initial([NodeId(1)]),
        snapshot,
    }
}

impl Rig {
    /// A replica whose log creates a state machine; nothing is applied.
    pub(super) fn new() -> Result<Self, String> {
        let log = Arc::new(Entries::default());
        let disk = Arc::new(MemoryDisk::new());
        let snapshots = SnapshotFiles::open(disk, Path::new("snapshots"));
        let context = WorkerContext {
            log: Arc::clone(&log) as _,
            snapshots: Arc::new(snapshots.map_err(|error| format!("harness: {error}"))?),
            machines: Arc::new(NativeKvs::new()),
            options: WorkerOptions::default(),
        };
        let worker = Worker::new(GROUP, context.clone(), &floor(None));
        let mut rig = Self {
            log,
            context,
            worker,
            answers: Vec::new(),
            snapshot: None,
            tickets: 0,
        };
        rig.host(&HostEntry::Create(spec()));
        Ok(rig)
    }

    /// Another replica with the same log, that applies it entry by entry.
    pub(super) fn twin(&self) -> Result<Self, String> {
        let mut twin = Self::new()?;
        let all = self.context.log.entries(GROUP, 1, Index::MAX, usize::MAX);
        let all = all.map_err(|error| format!("harness: {error}"))?;
        let last = all.len() as Index;
        *twin.log.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
        for through in 1..=last {
            twin.apply(through);
        }
        Ok(twin)
    }

    fn push(&mut self, term: Term, payload: Bytes) -> LogId {
        let mut entries = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            term,
            index: entries.len() as Index + 1,
            kind: EntryKind::Normal,
            payload,
        };
        let id = entry.id();
        entries.push(entry);
        id
    }

    pub(super) fn host(&mut self, entry: &HostEntry) -> LogId {
        self.push(1, encode_host(1000, [1; 32], entry))
    }

    /// Appends a command; `key`: zero is none.
    pub(super) fn command(&mut self, body: &'static str, key: u8) -> LogId {
        self.command_of(1, body, key)
    }

    pub(super) fn command_of(&mut self, term: Term, body: &'static str, key: u8) -> LogId {
        let command = Command {
            body: Bytes::from_static(body.as_bytes()),
            key: (key != 0).then_some([key; 16]),
        };
        self.push(term, encode_commands(2000, [2; 32], &[command]))
    }

    /// Waits for an entry.
    pub(super) fn expect(&mut self, position: LogId) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let tickets = vec![Some(ticket)];
        self.worker.push(Task::Expect { position, tickets });
        ticket
    }

    /// Waits for a read point.
    pub(super) fn read(&mut self, index: Index) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.worker.push(Task::Read { ticket, index });
        ticket
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        let found = self.answers.iter().find(|(id, _)| *id == ticket);
        found.map(|(_, answer)| answer)
    }

    /// Applies up to this entry, in as few runs as possible.
    pub(super) fn apply(&mut self, through: Index) {
        self.worker.push(Task::Apply { through });
        self.run();
    }

    /// Runs until there is nothing to do.
    pub(super) fn run(&mut self) {
        loop {
            let (reports, more) = self.worker.run(BUDGET);
            for report in reports {
                match report {
                    Report::Answer { ticket, answer } => self.answers.push((ticket, answer)),
                    Report::Checkpointed { snapshot, .. } => self.snapshot = Some(snapshot),
                    _ => {}
                }
            }
            if !more {
                return;
            }
        }
    }

    /// Appends a command, applies everything, and answers what came out of it.
    pub(super) fn outcome(&mut self, body: &'static str, key: u8) -> Option<(Outcome, bool)> {
        let position = self.command(body, key);
        let ticket = self.expect(position);
        self.apply(position.index);
        match self.answer(ticket)? {
            Answer::Applied {
                outcome, replayed, ..
            } => Some((outcome.clone(), *replayed)),
            _ => None,
        }
    }

    /// Takes a checkpoint.
    pub(super) fn checkpoint(&mut self) {
        let position = self.host(&HostEntry::Checkpoint);
        self.apply(position.index);
    }

    /// The process starts again from its last checkpoint; nothing above it is applied yet.
    pub(super) fn restart(&mut self) {
        let floor = floor(self.snapshot.clone());
        self.worker = Worker::new(GROUP, self.context.clone(), &floor);
    }

    /// Head of the outcome chain, and the index it is at.
    pub(super) fn chain(&self) -> (Index, Digest) {
        let status = self.worker.status();
        (status.applied, status.chain)
    }

    /// Whether it applies.
    pub(super) fn is_running(&self) -> bool {
        self.worker.status().state == WorkerState::Running
    }
}

/// The outcome of `append`, which is the whole list.
pub(super) fn list(text: &str) -> Outcome {
    Outcome::Ok(text.as_bytes().to_vec())
}
