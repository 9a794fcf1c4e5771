//! Does what a turn of the node wants done. Runs on the consensus thread and never blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_driver::Outbox;
use coracle_driver::fsm::{self, ReaderOptions, Worker, WorkerContext};
use coracle_driver::task::{Answer, NotApplied, Task};
use coracle_driver::{Floor, SnapshotRef};
use coracle_driver::{Stranger, Write};
use coracle_log::Reader;
use coracle_proto::{GroupId, NodeId};
use coracle_transport::Lane;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, error, info, trace, warn};

use super::Shell;
use super::queue::Queue;
use super::transfer::{self, Transfer};
use super::workers::{ReaderActor, Reports, WorkerActor};

/// Tasks that may wait for one worker. The node asks for no more than its own limits allow; this
/// is far above them.
const MAX_WAITING_TASKS: usize = 1 << 20;

/// Carries a node's wishes to where they are done.
pub(super) struct Dispatch {
    pub(super) shell: Arc<Shell>,
    pub(super) writes: Arc<Queue<Write>>,
    pub(super) log: Reader,
    pub(super) context: WorkerContext,
    pub(super) reports: Reports,
    pub(super) transfers: mpsc::UnboundedSender<Transfer>,
    pub(super) strangers: mpsc::UnboundedSender<Stranger>,
}

impl Dispatch {
    pub(super) fn run(&mut self, out: &mut Outbox) {
        if out.is_empty() {
            return;
        }
        trace!(?out);
        // Before the writes: one of them may be the end of the same group.
        for group in out.started.drain(..) {
            match self.log.floor(group) {
                Some(floor) => self.start_worker(group, &floor),
                None => self
                    .shell
                    .fail(format!("group {group} started without a record of it")),
            }
        }
        self.writes.push_all(out.writes.drain(..));
        self.send(out);
        for (group, task) in out.tasks.drain(..) {
            self.tell(group, task);
        }
        for (ticket, answer) in out.answers.drain(..) {
            self.shell.waiters.answer(ticket, answer);
        }
        for send in out.snapshots.drain(..) {
            self.transfer(Transfer::Send(send));
        }
        for (offer, wanted) in out.offers.drain(..) {
            self.transfer(Transfer::Offer { offer, wanted });
        }
        for (group, keep) in out.retain.drain(..) {
            self.transfer(Transfer::Retain { group, keep });
        }
        for group in out.removed.drain(..) {
            self.remove(group);
        }
        for change in out.leadership.drain(..) {
            let leader = change.leader.map(|replica| replica.node.0);
            info!(group = %change.group, term = change.term, leader, leads = change.leads, "leadership");
            self.shell.set_leader(change);
            self.shell.announce();
        }
        for stranger in out.strangers.drain(..) {
            // An error means that the node stops.
            let _ = self.strangers.send(stranger);
        }
        // What is no member any more is found by reconciling, which the announcement starts.
        if !out.configurations.is_empty() || !out.evicted.is_empty() {
            out.configurations.clear();
            out.evicted.clear();
            self.shell.announce();
        }
        for (group, reason) in out.fatal.drain(..) {
            error!(%group, reason, "a group was stopped");
            self.shell
                .fail(format!("group {group} was stopped: {reason}"));
        }
    }

    fn send(&self, out: &mut Outbox) {
        let Some(transport) = self.shell.transport.get() else {
            out.sends.clear();
            return;
        };
        let mut lanes: BTreeMap<(NodeId, Lane), Vec<_>> = BTreeMap::new();
        for envelope in out.sends.drain(..) {
            let lane = Lane::of(&envelope);
            lanes
                .entry((envelope.to.node, lane))
                .or_default()
                .push(envelope);
        }
        for ((node, lane), envelopes) in lanes {
            if let Err(overflow) = transport.send(node, lane, envelopes) {
                debug!(%overflow, "messages dropped; the core sends them again");
            }
        }
    }

    /// Starts the worker and the reader of a group.
    pub(super) fn start_worker(&self, group: GroupId, floor: &Floor) {
        let worker = Worker::new(group, self.context.clone(), floor);
        let published = worker.published();
        let options = ReaderOptions::default();
        let reader = fsm::Reader::new(group, self.context.clone(), published, options);
        let actor = WorkerActor::new(group, worker, self.reports.clone());
        self.shell.workers(group).add(group, actor);
        self.shell.readers.add(group, ReaderActor::new(reader));
        self.shell.announce();
    }

    fn tell(&self, group: GroupId, task: Task) {
        let Err(task) = self
            .shell
            .workers(group)
            .tell(group, task, MAX_WAITING_TASKS)
        else {
            return;
        };
        let gone = || Answer::NotApplied(NotApplied::NoGroup);
        match task {
            Task::Read { ticket, .. } => self.shell.waiters.answer(ticket, gone()),
            Task::Expect { tickets, .. } => {
                for ticket in tickets.into_iter().flatten() {
                    let reason = "the fsm was removed before the command was applied";
                    self.shell
                        .waiters
                        .answer(ticket, Answer::Unknown { reason });
                }
            }
            Task::Apply { .. } | Task::Install { .. } | Task::PluginArrived { .. } => {}
        }
    }

    fn transfer(&self, transfer: Transfer) {
        if self.transfers.send(transfer).is_err() {
            warn!("a snapshot transfer was asked for while the node stops");
        }
    }

    fn remove(&self, group: GroupId) {
        self.shell.workers(group).remove(group);
        self.shell.readers.remove(group);
        self.shell.views.remove(group);
        self.shell.forget_leader(group);
        self.transfer(Transfer::Retain {
            group,
            keep: Vec::<SnapshotRef>::new(),
        });
        self.shell.announce();
    }
}

/// Takes transfers from the consensus thread and runs them as tasks.
pub(super) async fn run_transfers(
    shell: Arc<Shell>,
    mut transfers: mpsc::UnboundedReceiver<Transfer>,
) {
    let mut sending = JoinSet::new();
    while let Some(transfer) = transfers.recv().await {
        while sending.try_join_next().is_some() {}
        transfer::run(&shell, transfer, &mut sending);
    }
}
