//! The worker of one group: takes tasks, applies what is committed, reports.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use coracle_proto::{Configuration, GroupId, Index, LogId};

use super::chain::{Chain, ChainHead};
use super::checkpoint::DONE;
use super::history::{Instance, Origin, Stop, Trouble};
use super::options::{READ_BYTES, WorkerContext, WorkerOptions};
use super::sessions::Sessions;
use super::shared::{Published, Shared};
use super::state_file::{StateSource, read_header};
use super::tickets::{HALTED, REMOVED, Tickets, halted_here, refuse_read, unknown};
use super::totals::Totals;
use super::verdict::{SkipList, Verdict};
use crate::mutant::mutant;
use crate::task::{Outcome, Report, Task};
use crate::{Digest, Floor, MachineSpec, SnapshotRef};

/// Applies the log of one group. Polled; owns everything it needs and starts no thread.
#[derive(Debug)]
pub struct Worker {
    pub(super) context: WorkerContext,
    pub(super) group: GroupId,
    pub(super) phase: Phase,
    /// How the live history began; `None` before `Create` and after `Retire`.
    pub(super) origin: Option<Origin>,
    /// The live instance; `None` while it must be (re)built.
    pub(super) live: Option<Instance>,
    pub(super) skips: SkipList,
    /// Commands that failed since the last checkpoint.
    pub(super) failures: u32,
    /// Commands were applied since `Create`. Counts only while there is no snapshot.
    pub(super) used: bool,
    pub(super) sessions: Sessions,
    pub(super) chain: Chain,
    /// The chain misses the link of the snapshot's last entry until its state was read.
    unlinked: Option<Index>,
    pub(super) configuration: Configuration,
    pub(super) applied: Index,
    /// Time of the last entry that had one.
    pub(super) time: u64,
    pub(super) snapshot: Option<SnapshotRef>,
    pub(super) due: Due,
    pub(super) totals: Totals,
    pub(super) commit: Index,
    install: Option<SnapshotRef>,
    waiting: Option<Wait>,
    pub(super) tickets: Tickets,
    pub(super) reports: VecDeque<Report>,
    shared: Arc<Mutex<Shared>>,
}

/// Where the state machine is in its life, as the log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// No `Create` was applied.
    Empty,
    /// `Create` was applied and failed like this.
    Failed { outcome: Outcome, reason: String },
    /// It runs.
    Running,
    /// `Retire` was applied.
    Retired,
    /// A fault of this node.
    Halted { reason: String },
}

/// Why a worker stands still for now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wait {
    Plugin(Digest),
    Snapshot(String),
    Room(String),
}

/// What was applied since the last attempt of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Fuel the instance had used at that attempt.
    pub(super) fuel: u64,
    /// A command or a restore failed since, or the history does not begin with a snapshot of its
    /// own plugin.
    pub(super) urgent: bool,
}

/// What a worker is doing, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerState {
    /// It has no state machine yet.
    Starting,
    /// It applies.
    Running,
    /// The state machine never started.
    Failed {
        /// What `init` said.
        reason: String,
    },
    /// A fault of this node stopped it.
    Halted {
        /// Which.
        reason: String,
    },
    /// Everything is refused.
    Retired,
    /// It stands still until this plugin is here.
    WaitingForPlugin {
        /// Which.
        plugin: Digest,
    },
    /// It stands still until there is room for its checkpoint on the disk.
    WaitingForRoom {
        /// What did not fit.
        reason: String,
    },
    /// What it needs next is gone from this node: another snapshot must come.
    WaitingForSnapshot {
        /// What is gone.
        reason: String,
    },
}

/// A picture of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The group.
    pub group: GroupId,
    /// What it is doing.
    pub state: WorkerState,
    /// Last applied index.
    pub applied: Index,
    /// What runs, if it runs.
    pub spec: Option<MachineSpec>,
    /// Head of the outcome chain after `applied`.
    pub chain: Digest,
    /// Heads at the last multiples of [`CHAIN_INTERVAL`](super::CHAIN_INTERVAL), ascending.
    pub chains: Vec<ChainHead>,
    /// Last index of the newest snapshot; 0 if there is none.
    pub snapshot_index: Index,
    /// Configuration as of `applied`.
    pub configuration: Configuration,
    /// Remembered commands with a key.
    pub sessions: usize,
    /// Commands that failed since the last checkpoint.
    pub failures: u32,
    /// What was done since this process started.
    pub totals: Totals,
    /// Memory of the instance that applies, in bytes.
    pub memory_bytes: u64,
}

impl Worker {
    /// The worker of a group whose log begins at this floor. Nothing is restored before `run`.
    pub fn new(group: GroupId, context: WorkerContext, floor: &Floor) -> Self {
        let mut worker = Self {
            context,
            group,
            phase: Phase::Empty,
            origin: None,
            live: None,
            skips: SkipList::new(),
            failures: 0,
            used: false,
            sessions: Sessions::default(),
            chain: Chain::new(),
            unlinked: None,
            configuration: floor.configuration.clone(),
            applied: 0,
            time: 0,
            snapshot: None,
            due: Due::default(),
            totals: Totals::default(),
            commit: 0,
            install: floor.snapshot.clone(),
            waiting: None,
            tickets: Tickets::default(),
            reports: VecDeque::new(),
            shared: Arc::default(),
        };
        if floor.snapshot.is_none() && floor.last.index != 0 {
            worker.halt(format!("the floor at {} names no snapshot", floor.last));
        }
        worker
    }

    /// What readers of this group are made from.
    pub fn published(&self) -> Published {
        Published::new(Arc::clone(&self.shared))
    }

    /// Changes when checkpoints are due.
    pub fn set_options(&mut self, options: WorkerOptions) {
        self.context.options = options;
    }

    /// Takes a task; `run` does it.
    pub fn push(&mut self, task: Task) {
        let mut reports = Vec::new();
        let halted = match &self.phase {
            Phase::Halted { reason } => Some(reason.as_str()),
            _ => None,
        };
        match (task, halted) {
            (Task::Apply { through }, _) => {
                self.commit = self.commit.max(through);
                if matches!(self.waiting, Some(Wait::Snapshot(_))) {
                    self.waiting = None;
                }
            }
            (Task::Install { snapshot }, _) => self.install = Some(snapshot),
            (Task::Retry, _) => self.waiting = None,
            (Task::PluginArrived { plugin }, _) => {
                if self.waiting == Some(Wait::Plugin(plugin)) {
                    self.waiting = None;
                }
            }
            (Task::Expect { tickets, .. }, Some(_)) => unknown(tickets, HALTED, &mut reports),
            (Task::Read { ticket, .. }, Some(reason)) => {
                refuse_read(ticket, &halted_here(reason), &mut reports);
            }
            (Task::Expect { position, tickets }, None) => {
                let applied = self.applied;
                self.tickets
                    .expect(position, tickets, applied, &mut reports);
            }
            (Task::Read { ticket, index }, None) => {
                let applied = self.published_index();
                self.tickets.read(ticket, index, applied, &mut reports);
            }
        }
        self.reports.extend(reports);
    }

    /// Applies at most `budget` entries. Returns what there is to say, and whether there is more
    /// to do at once.
    pub fn run(&mut self, budget: usize) -> (Vec<Report>, bool) {
        let before = self.applied;
        let more = match self.advance(budget.max(1)) {
            Ok(more) => more,
            Err(stop) => {
                self.stop(stop);
                false
            }
        };
        if mutant!(SessionsExpireLocally) && !more {
            self.sessions = Sessions::default();
        }
        if self.applied != before {
            self.report_progress();
        }
        // Before the reads are answered: a reader must find what they were promised.
        self.publish();
        let mut reports = Vec::new();
        self.tickets.reached(self.applied, &mut reports);
        self.reports.extend(reports);
        (std::mem::take(&mut self.reports).into(), more)
    }

    /// The replica is removed from this node: everybody who still waits is told.
    pub fn end(&mut self) -> Vec<Report> {
        self.live = None;
        let mut reports = Vec::from(std::mem::take(&mut self.reports));
        self.tickets.end(REMOVED, REMOVED, &mut reports);
        reports
    }

    /// A picture of it.
    pub fn status(&self) -> WorkerStatus {
        WorkerStatus {
            group: self.group,
            state: self.state(),
            applied: self.applied,
            spec: self.origin.as_ref().map(|origin| origin.spec.clone()),
            chain: self.chain.head(),
            chains: self.chain.recent().collect(),
            snapshot_index: self.snapshot.as_ref().map_or(0, |s| s.last.index),
            configuration: self.configuration.clone(),
            sessions: self.sessions.len(),
            failures: self.failures,
            totals: self.totals,
            memory_bytes: self
                .live
                .as_ref()
                .map_or(0, |live| live.machine.memory_bytes()),
        }
    }

    fn state(&self) -> WorkerState {
        match (&self.phase, &self.waiting) {
            (Phase::Halted { reason }, _) => WorkerState::Halted {
                reason: reason.clone(),
            },
            (_, Some(Wait::Plugin(plugin))) => WorkerState::WaitingForPlugin { plugin: *plugin },
            (_, Some(Wait::Snapshot(reason))) => WorkerState::WaitingForSnapshot {
                reason: reason.clone(),
            },
            (_, Some(Wait::Room(reason))) => WorkerState::WaitingForRoom {
                reason: reason.clone(),
            },
            (Phase::Empty, _) => WorkerState::Starting,
            (Phase::Running, _) if self.live.is_none() => WorkerState::Starting,
            (Phase::Running, _) => WorkerState::Running,
            (Phase::Failed { reason, .. }, _) => WorkerState::Failed {
                reason: reason.clone(),
            },
            (Phase::Retired, _) => WorkerState::Retired,
        }
    }

    fn advance(&mut self, budget: usize) -> Result<bool, Stop> {
        if matches!(self.phase, Phase::Halted { .. }) || !self.may_go_on() {
            return Ok(false);
        }
        if let Some(snapshot) = self.install.take() {
            self.install(snapshot)?;
        }
        self.ensure_live()?;
        if self.applied >= self.commit {
            return Ok(false);
        }
        let through = self.commit.min(self.applied + budget as Index);
        let entries =
            self.context
                .log
                .entries(self.group, self.applied + 1, through, READ_BYTES)?;
        if entries.is_empty() {
            return Err(Stop::Gone(format!(
                "the log has no entry {}",
                self.applied + 1
            )));
        }
        for entry in &entries {
            self.ensure_live()?;
            self.apply(entry)?;
        }
        self.ensure_live()?;
        Ok(self.applied < self.commit)
    }

    /// Whether what it waited for is there.
    fn may_go_on(&mut self) -> bool {
        let ready = match &self.waiting {
            None => true,
            Some(Wait::Plugin(plugin)) => {
                self.context.machines.has(plugin) || self.install.is_some()
            }
            Some(Wait::Snapshot(_) | Wait::Room(_)) => self.install.is_some(),
        };
        if ready {
            self.waiting = None;
        }
        ready
    }

    /// Replaces everything by a snapshot, unless it is older than what is here.
    fn install(&mut self, snapshot: SnapshotRef) -> Result<(), Stop> {
        let last = snapshot.last.index;
        if last <= self.applied {
            return Ok(());
        }
        let (header, sessions) = read_header(&self.context, self.group, &snapshot)?;
        self.origin = Some(Origin {
            spec: header.spec,
            environment: header.environment,
            snapshot: Some(snapshot.clone()),
            from: last,
            time: header.environment.time,
        });
        self.phase = Phase::Running;
        self.live = None;
        self.skips.clear();
        self.failures = 0;
        self.sessions = sessions;
        if mutant!(SnapshotWithoutSessions) {
            self.sessions = Sessions::default();
        }
        self.chain = header.chain;
        if mutant!(SnapshotWithoutChain) {
            self.chain = Chain::new();
        }
        self.unlinked = Some(last);
        self.configuration = header.configuration;
        self.applied = last;
        self.commit = self.commit.max(last);
        self.time = header.environment.time;
        self.snapshot = Some(snapshot);
        self.due = Due::default();
        let mut reports = Vec::new();
        self.tickets.covered(last, &mut reports);
        self.reports.extend(reports);
        Ok(())
    }

    /// Brings the live instance back to `applied` if there should be one and is none.
    pub(super) fn ensure_live(&mut self) -> Result<(), Stop> {
        let Some(origin) = self.origin.as_ref().filter(|_| self.live.is_none()) else {
            return Ok(());
        };
        let unexpected = |trouble: Trouble| trouble.unexpected(self.applied);
        if let (Some(_), Some(snapshot)) = (self.unlinked, &origin.snapshot)
            && !self.context.machines.has(&origin.spec.plugin)
        {
            // The chain is to be right while the replica waits for its plugin.
            let digest = StateSource::open(&self.context, self.group, snapshot)?.finish()?;
            self.link(&digest);
            return self.ensure_live();
        }
        let (mut instance, digest) = origin
            .start(&self.context, self.group, false)
            .map_err(unexpected)?;
        let too_far = mutant!(AppliedTwiceAfterRestart) && self.applied < self.commit;
        let through = self.applied + Index::from(too_far);
        let none = SkipList::new();
        let skips = match mutant!(SkipsForgotten) {
            true => &none,
            false => &self.skips,
        };
        instance
            .replay(&self.context, self.group, through, skips)
            .map_err(unexpected)?;
        self.live = Some(instance);
        if let Some(digest) = digest {
            self.link(&digest);
        }
        Ok(())
    }

    /// Appends the link of the checkpoint that everything was restored from, if it is missing.
    fn link(&mut self, state: &Digest) {
        if let Some(index) = self.unlinked.take() {
            self.chain.push(index, &[DONE], Some(state));
        }
    }

    fn stop(&mut self, stop: Stop) {
        match stop {
            Stop::PluginMissing(plugin) => {
                self.waiting = Some(Wait::Plugin(plugin));
                self.reports.push_back(Report::PluginMissing {
                    group: self.group,
                    plugin,
                });
            }
            Stop::Gone(reason) => self.waiting = Some(Wait::Snapshot(reason)),
            Stop::NoRoom(reason) => {
                self.reports.push_back(Report::NoRoom { group: self.group });
                self.waiting = Some(Wait::Room(reason));
            }
            Stop::Host(reason) => self.halt(reason),
            Stop::Log(reason) => {
                self.reports.push_back(Report::LogFailed {
                    group: self.group,
                    reason: reason.clone(),
                });
                self.halt(reason);
            }
        }
    }

    fn halt(&mut self, reason: String) {
        self.live = None;
        let mut reports = Vec::new();
        self.tickets
            .end(HALTED, &halted_here(&reason), &mut reports);
        reports.push(Report::Halted {
            group: self.group,
            reason: reason.clone(),
        });
        self.reports.extend(reports);
        self.phase = Phase::Halted { reason };
    }

    fn report_progress(&mut self) {
        let group = self.group;
        self.reports.push_back(Report::Applied {
            group,
            index: self.applied,
        });
        // It may still come in what is committed.
        if self.phase == Phase::Empty && self.applied >= self.commit {
            self.reports.push_back(Report::NotCreated { group });
        }
        if let Some(instance) = &self.live
            && self.is_due(instance)
        {
            self.reports.push_back(Report::CheckpointDue {
                group,
                urgent: self.due.urgent,
            });
        }
    }

    fn is_due(&self, instance: &Instance) -> bool {
        let options = &self.context.options;
        let fuel = instance.machine.fuel_used().saturating_sub(self.due.fuel);
        self.due.urgent
            || self.due.entries > options.checkpoint_entries
            || self.due.bytes > options.checkpoint_bytes
            || fuel > options.checkpoint_fuel
    }

    fn published_index(&self) -> Index {
        self.shared
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .applied
    }

    fn publish(&self) {
        let mut shared = self
            .shared
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.publish(
            self.applied,
            self.origin.as_ref(),
            &self.skips,
            self.state(),
        );
    }

    /// Tells whoever waits what became of an entry.
    pub(super) fn answer(&mut self, position: LogId, verdicts: Vec<Verdict>) {
        let mut reports = Vec::new();
        self.tickets.applied(position, verdicts, &mut reports);
        self.reports.extend(reports);
    }
}
