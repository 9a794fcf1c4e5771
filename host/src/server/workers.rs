//! The driver's workers and readers as actors of the pools.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use coracle_driver::Event;
use coracle_driver::fsm::{QueryError, Reader, Worker, WorkerState};
use coracle_driver::task::{Report, Task};
use coracle_driver::{Digest, Reply};
use coracle_proto::{GroupId, Index};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, trace};

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
    /// The log gave a damaged record: the node must stop.
    LogFailed(String),
    /// Something that somebody may wait for has changed.
    Changed,
}

/// Where a worker's reports go.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    pub(super) waiters: Arc<Waiters>,
    pub(super) inbox: Inbox,
    pub(super) views: Arc<Views>,
    pub(super) notes: mpsc::UnboundedSender<Note>,
}

/// A group's worker.
pub(super) struct WorkerActor {
    group: GroupId,
    worker: Worker,
    reports: Reports,
}

impl WorkerActor {
    pub(super) fn new(group: GroupId, worker: Worker, reports: Reports) -> Self {
        reports.views.insert(group, worker.status());
        Self {
            group,
            worker,
            reports,
        }
    }

    fn deliver(&self, report: Report) {
        trace!(?report);
        match report {
            Report::Answer { ticket, answer } => self.reports.waiters.answer(ticket, answer),
            Report::PluginMissing { group, plugin } => {
                self.note(Note::PluginMissing(group, plugin));
            }
            Report::LogFailed { group, reason } => {
                self.note(Note::LogFailed(format!("group {group}: {reason}")));
            }
            Report::Halted { group, ref reason } => {
                error!(%group, reason, "an fsm is halted on this node");
                self.reports.inbox.push(Event::Report(report));
            }
            report => self.reports.inbox.push(Event::Report(report)),
        }
    }

    fn note(&self, note: Note) {
        // The host's end is closed while the node stops.
        let _ = self.reports.notes.send(note);
    }
}

impl Actor for WorkerActor {
    type Message = Task;

    fn handle(&mut self, tasks: &mut VecDeque<Task>) -> bool {
        for task in tasks.drain(..) {
            self.worker.push(task);
        }
        let (reports, more) = self.worker.run(ENTRIES_PER_TURN);
        let before = self
            .reports
            .views
            .get(self.group)
            .map(|status| status.state);
        let status = self.worker.status();
        let turned = before.as_ref() != Some(&status.state);
        if let WorkerState::WaitingForSnapshot { reason } = &status.state
            && turned
        {
            error!(group = %self.group, reason, "an fsm waits for a snapshot of another node");
        }
        let changed = turned || self.group == GroupId::SYSTEM;
        // First what can be seen, then the answers: who was answered may look at once.
        self.reports.views.publish(self.group, status);
        for report in reports {
            self.deliver(report);
        }
        if changed {
            self.note(Note::Changed);
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
    pub(super) min_index: Index,
    pub(super) request: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<(Index, Reply), QueryError>>,
}

/// A group's reader twin.
pub(super) struct ReaderActor {
    reader: Reader,
    clock: Clock,
}

impl ReaderActor {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            clock: Clock::start(),
        }
    }

    fn answer(&mut self, query: Query) {
        if query.answer.is_closed() {
            return;
        }
        let result = self
            .reader
            .query(self.clock.now(), query.min_index, &query.request);
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
