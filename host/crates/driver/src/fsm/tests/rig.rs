//! One replica: what the node would tell it, and what it reports.

use std::sync::Arc;

use bytes::Bytes;
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, Index, Instant, LogId, NodeId, Term,
};

use super::memory::{MemoryLog, MemorySnapshots};
use crate::fsm::native_kv::NativeKvs;
use crate::fsm::{
    QueryError, Reader, ReaderOptions, Worker, WorkerContext, WorkerOptions, WorkerStatus,
};
use crate::payload::{encode_commands, encode_host};
use crate::task::{Answer, Command, HostEntry, Outcome, Report, Task, Ticket};
use crate::{Digest, Floor, Limits, MachineSpec, Reply, SnapshotRef};

pub(super) const GROUP: GroupId = GroupId(7);

/// A replica and its surroundings.
pub(super) struct Rig {
    pub(super) log: Arc<MemoryLog>,
    pub(super) snapshots: Arc<MemorySnapshots>,
    pub(super) machines: Arc<NativeKvs>,
    pub(super) context: WorkerContext,
    pub(super) worker: Worker,
    pub(super) reader: Reader,
    /// Everything reported that is no answer, in order.
    pub(super) reports: Vec<Report>,
    pub(super) term: Term,
    next_ticket: u64,
}

pub(super) fn spec(config: &[(&str, &str)]) -> MachineSpec {
    MachineSpec {
        plugin: Digest([1; 32]),
        config: config
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

pub(super) fn initial() -> Configuration {
    Configuration::initial([NodeId(1), NodeId(2)])
}

pub(super) fn ok(text: &str) -> Outcome {
    Outcome::Ok(text.as_bytes().to_vec())
}

impl Rig {
    /// Empty, not created.
    pub(super) fn empty(options: WorkerOptions) -> Self {
        let log = Arc::new(MemoryLog::default());
        let snapshots = Arc::new(MemorySnapshots::default());
        let machines = Arc::new(NativeKvs::new());
        let context = WorkerContext {
            log: Arc::clone(&log) as _,
            snapshots: Arc::clone(&snapshots) as _,
            machines: Arc::clone(&machines) as _,
            options,
        };
        let floor = Floor {
            last: LogId::default(),
            configuration: initial(),
            snapshot: None,
        };
        let worker = Worker::new(GROUP, context.clone(), &floor);
        let reader = Self::reader_of(&context, &worker);
        Self {
            log,
            snapshots,
            machines,
            context,
            worker,
            reader,
            reports: Vec::new(),
            term: 1,
            next_ticket: 0,
        }
    }

    /// Created with these settings.
    pub(super) fn created(config: &[(&str, &str)]) -> Self {
        let mut rig = Self::empty(WorkerOptions::default());
        rig.host(HostEntry::Create(spec(config)));
        rig
    }

    fn reader_of(context: &WorkerContext, worker: &Worker) -> Reader {
        let options = ReaderOptions {
            rebuild_burst: 2,
            ..ReaderOptions::default()
        };
        Reader::new(GROUP, context.clone(), worker.published(), options)
    }

    fn next_index(&self) -> Index {
        self.log.last().max(self.status().applied) + 1
    }

    /// Appends an entry; not applied yet.
    pub(super) fn append(&mut self, kind: EntryKind, payload: Bytes) -> LogId {
        let entry = Entry {
            term: self.term,
            index: self.next_index(),
            kind,
            payload,
        };
        let id = entry.id();
        self.log.append(entry);
        id
    }

    pub(super) fn append_commands(&mut self, commands: &[(&str, Option<&str>)]) -> LogId {
        let commands: Vec<_> = commands
            .iter()
            .map(|(body, key)| command(body, *key))
            .collect();
        let index = self.next_index();
        let payload = encode_commands(1000 * index, [index as u8; 32], &commands);
        self.append(EntryKind::Normal, payload)
    }

    pub(super) fn append_host(&mut self, entry: &HostEntry) -> LogId {
        let index = self.next_index();
        let payload = encode_host(1000 * index, [index as u8; 32], entry);
        self.append(EntryKind::Normal, payload)
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Expects an appended entry, applies it, and returns the answers.
    pub(super) fn apply(&mut self, position: LogId, tickets: usize) -> Vec<Answer> {
        let first = self.next_ticket;
        let tickets: Vec<_> = (0..tickets).map(|_| Some(self.ticket())).collect();
        let count = tickets.len() as u64;
        self.worker.push(Task::Expect { position, tickets });
        self.worker.push(Task::Apply {
            through: position.index,
        });
        let mut answers = self.run();
        answers.retain(|(ticket, _)| (first + 1..=first + count).contains(&ticket.0));
        answers.sort_by_key(|(ticket, _)| *ticket);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Runs until there is nothing to do; returns the answers.
    pub(super) fn run(&mut self) -> Vec<(Ticket, Answer)> {
        let mut answers = Vec::new();
        loop {
            let (reports, more) = self.worker.run(3);
            for report in reports {
                match report {
                    Report::Answer { ticket, answer } => answers.push((ticket, answer)),
                    report => self.reports.push(report),
                }
            }
            if !more {
                return answers;
            }
        }
    }

    /// One group of commands without keys.
    pub(super) fn commands(&mut self, commands: &[&str]) -> Vec<Answer> {
        let commands: Vec<_> = commands.iter().map(|body| (*body, None)).collect();
        self.keyed(&commands)
    }

    /// One group of commands.
    pub(super) fn keyed(&mut self, commands: &[(&str, Option<&str>)]) -> Vec<Answer> {
        let position = self.append_commands(commands);
        self.apply(position, commands.len())
    }

    /// The outcomes of one group of commands without keys.
    pub(super) fn outcomes(&mut self, commands: &[&str]) -> Vec<Outcome> {
        self.commands(commands).into_iter().map(outcome).collect()
    }

    /// One host entry.
    pub(super) fn host(&mut self, entry: HostEntry) -> Answer {
        let position = self.append_host(&entry);
        self.apply(position, 1).remove(0)
    }

    /// A checkpoint that works.
    pub(super) fn checkpoint(&mut self) -> SnapshotRef {
        assert_eq!(outcome(self.host(HostEntry::Checkpoint)), Outcome::Done);
        self.last_snapshot().expect("a snapshot was reported")
    }

    pub(super) fn last_snapshot(&self) -> Option<SnapshotRef> {
        self.reports.iter().rev().find_map(|report| match report {
            Report::Checkpointed { snapshot, .. } => Some(snapshot.clone()),
            _ => None,
        })
    }

    /// The process starts again, from the last snapshot, and applies all that is in the log.
    pub(super) fn restart(&mut self) {
        let snapshot = self.last_snapshot();
        let floor = Floor {
            last: snapshot.as_ref().map_or(LogId::default(), |s| s.last),
            configuration: snapshot
                .as_ref()
                .map_or_else(initial, |s| s.configuration.clone()),
            snapshot,
        };
        self.log.compact(floor.last.index);
        self.worker = Worker::new(GROUP, self.context.clone(), &floor);
        self.reader = Self::reader_of(&self.context, &self.worker);
        let through = self.log.last();
        self.worker.push(Task::Apply { through });
        self.run();
    }

    /// Another replica with the same log, applied as far.
    pub(super) fn twin(&self) -> Self {
        let mut twin = Self::empty(self.context.options);
        let entries = self
            .context
            .log
            .entries(GROUP, 1, self.log.last(), usize::MAX);
        for entry in entries.expect("nothing is compacted") {
            twin.log.append(entry);
        }
        let through = twin.log.last();
        twin.worker.push(Task::Apply { through });
        twin.run();
        twin
    }

    /// Without what is counted per process.
    pub(super) fn status(&self) -> WorkerStatus {
        WorkerStatus {
            totals: Default::default(),
            ..self.worker.status()
        }
    }

    pub(super) fn query(&mut self, request: &str) -> Result<(Index, Reply), QueryError> {
        self.query_at(Instant(0), 0, request)
    }

    pub(super) fn query_at(
        &mut self,
        now: Instant,
        min_index: Index,
        request: &str,
    ) -> Result<(Index, Reply), QueryError> {
        self.reader.query(now, min_index, request.as_bytes())
    }

    /// The answer to a query that works.
    pub(super) fn ask(&mut self, request: &str) -> String {
        match self.query(request).expect("the query works").1 {
            Reply::Ok(bytes) | Reply::Refused(bytes) => String::from_utf8(bytes).expect("text"),
        }
    }

    /// What the live instance went through. (A query does not change a native machine.)
    pub(super) fn history(&mut self) -> String {
        self.worker.ensure_live().expect("can be rebuilt");
        let environment = crate::Environment {
            index: 0,
            time: 0,
            seed: [0; 32],
        };
        let live = self.worker.live.as_mut().expect("it runs");
        match live.machine.query(&environment, b"history").expect("works") {
            Reply::Ok(bytes) | Reply::Refused(bytes) => String::from_utf8(bytes).expect("text"),
        }
    }

    pub(super) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }
}

pub(super) fn command(body: &str, key: Option<&str>) -> Command {
    let key = key.map(|text| {
        let mut key = [0; 16];
        key[..text.len()].copy_from_slice(text.as_bytes());
        key
    });
    Command {
        body: Bytes::copy_from_slice(body.as_bytes()),
        key,
    }
}

pub(super) fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Applied { outcome, .. } => outcome,
        other => panic!("not applied: {other:?}"),
    }
}
