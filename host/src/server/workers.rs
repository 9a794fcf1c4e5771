//! The driver's workers and readers as actors of the pools.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use coracle_client::Happening;
use coracle_driver::Event;
use coracle_driver::fsm::{QueryError, Reader, Worker, WorkerState, WorkerStatus};
use coracle_driver::task::{Report, Task};
use coracle_driver::{Digest, MachineSpec, Reply};
use coracle_proto::{GroupId, Index};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, trace};

use super::Shell;
use super::alarm::Alarm;
use super::clock::Clock;
use super::consensus::Inbox;
use super::pool::Actor;
use super::views::Views;
use super::waiters::Waiters;

/// Entries one fsm may apply before another has its turn on the thread.
const ENTRIES_PER_TURN: usize = 64;

/// Queries one fsm may answer before another has its turn.
const QUERIES_PER_TURN: usize = 64;

/// A twin that nobody asked for so long gives its memory back.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// What workers want of the host.
#[derive(Debug)]
pub(super) enum Note {
    /// A worker stands still until this plugin is here.
    PluginMissing(GroupId, Digest),
    /// A worker stands still until this image is here, or a snapshot of a peer.
    ImageMissing(GroupId, Digest),
    /// A worker stands still until a snapshot of a peer is here, or room on the disk.
    Stuck(GroupId),
}

/// Where a worker's reports go.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    pub(super) waiters: Arc<Waiters>,
    pub(super) inbox: Inbox,
    pub(super) views: Arc<Views>,
    pub(super) alarm: Alarm,
    /// The pool of workers is part of it.
    pub(super) shell: Weak<Shell>,
    pub(super) notes: mpsc::Sender<Note>,
}

/// A group's worker.
pub(super) struct WorkerActor {
    group: GroupId,
    worker: Worker,
    reports: Reports,
    times: Histogram,
    /// Entries it had applied after its last turn.
    entries: u64,
}

impl WorkerActor {
    pub(super) fn new(group: GroupId, worker: Worker, reports: Reports, times: Histogram) -> Self {
        reports.views.insert(group, worker.status());
        Self {
            group,
            worker,
            reports,
            times,
            entries: 0,
        }
    }

    fn deliver(&self, report: Report) {
        trace!(?report);
        match report {
            Report::Answer { ticket, answer } => {
                #[cfg(feature = "failpoints")]
                super::failpoints::pass(super::failpoints::Place::BeforeAnswer);
                self.reports.waiters.answer(ticket, answer);
            }
            Report::PluginMissing { group, plugin } => {
                self.note(Note::PluginMissing(group, plugin));
            }
            Report::ImageMissing { group, image } => {
                self.note(Note::ImageMissing(group, image));
            }
            Report::LogFailed { group, reason } => {
                let reason = format!("group {group}: {reason}");
                self.reports.alarm.raise(reason);
            }
            Report::Halted { group, ref reason } => {
                error!(%group, reason, "an fsm is halted on this node");
                self.reports.inbox.push(Event::Report(report));
            }
            Report::Checkpointed { ref snapshot, .. } => {
                self.tell(Happening::SnapshotTaken {
                    index: snapshot.last.index,
                });
                self.reports.inbox.push(Event::Report(report));
            }
            report => self.reports.inbox.push(Event::Report(report)),
        }
    }

    fn note(&self, note: Note) {
        // The host's end is closed while the node stops.
        if let Err(mpsc::error::TrySendError::Full(note)) = self.reports.notes.try_send(note) {
            error!(?note, "too many fsms wait for their plugins at once");
        }
    }

    fn tell(&self, what: Happening) {
        if let Some(shell) = self.reports.shell.upgrade() {
            shell.tell(self.group, what);
        }
    }

    /// Tells those who follow what has become of the fsm since `before`.
    fn tell_changes(&self, before: &WorkerStatus, now: &WorkerStatus) {
        let plugin = |status: &WorkerStatus| status.spec.as_ref().map(|spec| spec.plugin);
        let native = |plugin: &Digest| *plugin == MachineSpec::NATIVE;
        match (plugin(before), plugin(now)) {
            (None, Some(plugin)) if !native(&plugin) => self.tell(Happening::FsmStarted {
                plugin: plugin.to_string(),
            }),
            (Some(from), Some(plugin)) if from != plugin => self.tell(Happening::FsmUpgraded {
                from: from.to_string(),
                plugin: plugin.to_string(),
                index: now.applied,
            }),
            _ => {}
        }
        match &now.state {
            WorkerState::Halted { reason } | WorkerState::WaitingForSnapshot { reason }
                if before.state != now.state =>
            {
                self.tell(Happening::FsmHalted {
                    reason: reason.clone(),
                });
            }
            _ => {}
        }
    }
}

impl Actor for WorkerActor {
    type Message = Task;

    fn handle(&mut self, tasks: &mut VecDeque<Task>) -> bool {
        for task in tasks.drain(..) {
            self.worker.push(task);
        }
        if let Some(shell) = self.reports.shell.upgrade() {
            self.worker.set_options(shell.settings.worker_options());
        }
        let began = Instant::now();
        let (reports, more) = self.worker.run(ENTRIES_PER_TURN);
        let status = self.worker.status();
        let entries = status.totals.entries - self.entries;
        if entries > 0 {
            let mean = began.elapsed().as_secs_f64() / entries as f64;
            self.times.observe(mean);
            self.entries = status.totals.entries;
        }
        let before = self.reports.views.get(self.group);
        #[cfg(feature = "failpoints")]
        if before.as_ref().map_or(0, |before| before.totals.forgotten) < status.totals.forgotten {
            super::failpoints::pass(super::failpoints::Place::SessionExpiry);
        }
        let turned = before.as_ref().map(|before| &before.state) != Some(&status.state);
        if let WorkerState::WaitingForSnapshot { reason } = &status.state
            && turned
        {
            error!(group = %self.group, reason, "an fsm waits for a snapshot of another node");
        }
        if let WorkerState::WaitingForRoom { reason } = &status.state
            && turned
        {
            error!(group = %self.group, reason, "an fsm waits for room on the disk");
        }
        let stuck = matches!(
            status.state,
            WorkerState::WaitingForSnapshot { .. } | WorkerState::WaitingForRoom { .. }
        );
        let changed = turned || self.group == GroupId::SYSTEM;
        // First what can be seen, then the answers: who was answered may look at once.
        self.reports.views.publish(self.group, status.clone());
        if let Some(before) = before {
            self.tell_changes(&before, &status);
        }
        for report in reports {
            self.deliver(report);
        }
        if stuck && turned {
            self.note(Note::Stuck(self.group));
        }
        if changed && let Some(shell) = self.reports.shell.upgrade() {
            shell.announce();
        }
        more
    }

    fn end(&mut self, tasks: VecDeque<Task>) {
        for task in tasks {
            self.worker.push(task);
        }
        for report in self.worker.end() {
            self.deliver(report);
        }
    }
}

/// What a reader is told.
#[derive(Debug)]
pub(super) enum ReaderTask {
    /// Answer this.
    Query(Query),
    /// Give memory back if nobody asked lately.
    Sweep,
}

/// A query on its way to a reader.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) came: Instant,
    pub(super) min_index: Index,
    pub(super) request: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<(Index, Reply), QueryError>>,
}

/// A group's reader twin.
pub(super) struct ReaderActor {
    reader: Reader,
    clock: Clock,
    times: Histogram,
}

impl ReaderActor {
    pub(super) fn new(reader: Reader, times: Histogram) -> Self {
        Self {
            reader,
            clock: Clock::start(),
            times,
        }
    }

    fn answer(&mut self, query: Query) {
        if query.answer.is_closed() {
            return;
        }
        let result = self
            .reader
            .query(self.clock.now(), query.min_index, &query.request);
        self.times.observe(query.came.elapsed().as_secs_f64());
        // The client may have gone meanwhile.
        let _ = query.answer.send(result);
    }
}

impl Actor for ReaderActor {
    type Message = ReaderTask;

    fn handle(&mut self, tasks: &mut VecDeque<ReaderTask>) -> bool {
        let count = tasks.len().min(QUERIES_PER_TURN);
        for task in tasks.drain(..count) {
            match task {
                ReaderTask::Query(query) => self.answer(query),
                ReaderTask::Sweep => {
                    self.reader.drop_if_idle(self.clock.now(), IDLE_AFTER);
                }
            }
        }
        false
    }

    // Whoever asked learns it by the end of its channel.
    fn end(&mut self, _: VecDeque<ReaderTask>) {}
}
