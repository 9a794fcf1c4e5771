//! Does what a turn of the node wants done. Runs on the consensus thread and never blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::Happening;
use coracle_driver::fsm::{self, ReaderOptions, Worker, WorkerContext};
use coracle_driver::task::{Answer, NotApplied, Task};
use coracle_driver::{Event, LeaderChange, Outbox};
use coracle_driver::{Floor, SnapshotRef};
use coracle_driver::{Stranger, Write};
use coracle_log::Reader;
use coracle_proto::{Configuration, GroupId, NodeId, ReplicaId};
use coracle_transport::Lane;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
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
    pub(super) transfers: mpsc::Sender<Transfer>,
    pub(super) strangers: mpsc::Sender<Stranger>,
}

#[cfg(feature = "failpoints")]
fn pass_places(out: &Outbox) {
    use super::failpoints::{Place, pass};
    use coracle_proto::Message;
    let append = |envelope: &coracle_proto::Envelope| match &envelope.message {
        Message::Append { entries, .. } => !entries.is_empty(),
        _ => false,
    };
    if out.sends.iter().any(append) {
        pass(Place::BeforeSend);
    }
    if !out.answers.is_empty() {
        pass(Place::BeforeAnswer);
    }
    if !out.snapshots.is_empty() {
        pass(Place::BeforeSnapshotSend);
    }
}

impl Dispatch {
    pub(super) fn run(&mut self, out: &mut Outbox) {
        if out.is_empty() {
            return;
        }
        trace!(?out);
        for group in out.removed.drain(..) {
            self.remove(group);
        }
        // Before the writes: one of them may be the end of the same group.
        for group in out.started.drain(..) {
            match self.log.floor(group) {
                Some(floor) => {
                    self.start_worker(group, &floor);
                    self.shell.tell(group, Happening::FsmHosted);
                }
                None => self
                    .shell
                    .fail(format!("group {group} started without a record of it")),
            }
        }
        self.writes.push_all(out.writes.drain(..));
        #[cfg(feature = "failpoints")]
        pass_places(out);
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
        for change in out.leadership.drain(..) {
            let leader = change.leader.map(|replica| replica.node.0);
            info!(group = %change.group, term = change.term, leader, leads = change.leads, "leadership");
            self.leadership(change);
        }
        for (group, configuration) in out.configurations.drain(..) {
            #[cfg(feature = "failpoints")]
            super::failpoints::pass(super::failpoints::Place::BeforeConfigured);
            self.configured(group, &configuration);
        }
        for stranger in out.strangers.drain(..) {
            // One that is lost is told again while its leader goes on asking.
            let _ = self.strangers.try_send(stranger);
        }
        // What is no member any more is found by reconciling, which the announcement starts.
        if !out.evicted.is_empty() {
            out.evicted.clear();
            self.shell.announce();
        }
        for (group, reason) in out.fatal.drain(..) {
            error!(%group, reason, "a group was stopped");
            self.shell
                .fail(format!("group {group} was stopped: {reason}"));
        }
    }

    fn leadership(&self, change: LeaderChange) {
        let raft = &self.shell.metrics.raft;
        let leader = change.leader.map(|replica| replica.node.0);
        if change.leads {
            raft.elections_won.inc();
        }
        if leader.is_some() {
            raft.leader_changes.inc();
        }
        self.shell.set_leader(change);
        let what = Happening::LeaderChanged {
            term: change.term,
            leader,
            leads: change.leads,
        };
        self.shell.tell(change.group, what);
        self.shell.announce();
    }

    fn configured(&self, group: GroupId, configuration: &Configuration) {
        self.shell.metrics.raft.config_changes.inc();
        let nodes = |replicas: &BTreeSet<ReplicaId>| -> Vec<u64> {
            replicas.iter().map(|replica| replica.node.0).collect()
        };
        let what = Happening::ConfigurationChanged {
            index: configuration.index,
            voters: nodes(&configuration.voters),
            learners: nodes(&configuration.learners),
        };
        self.shell.tell(group, what);
        self.shell.announce();
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
        let fsms = &self.shell.metrics.fsms;
        let times = fsms.apply.of(group);
        let actor = WorkerActor::new(group, worker, self.reports.clone(), times);
        self.shell.workers(group).add(group, actor);
        self.shell
            .readers
            .add(group, ReaderActor::new(reader, fsms.query.of(group)));
        self.shell.announce();
    }

    fn tell(&self, group: GroupId, task: Task) {
        if let Task::Install { snapshot } = &task {
            let index = snapshot.last.index;
            self.shell
                .tell(group, Happening::SnapshotInstalled { index });
        }
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
            Task::Apply { .. }
            | Task::Install { .. }
            | Task::Retry
            | Task::PluginArrived { .. } => {}
        }
    }

    fn transfer(&self, transfer: Transfer) {
        match self.transfers.try_send(transfer) {
            Ok(()) => {}
            // The core asks again when it hears this.
            Err(TrySendError::Full(Transfer::Send(send))) => {
                self.shell.inbox.push(Event::SnapshotSent {
                    group: send.group,
                    to: send.to,
                    delivered: false,
                });
            }
            Err(error) => warn!(%error, "a snapshot's transfer was dropped"),
        }
    }

    fn remove(&self, group: GroupId) {
        self.shell.workers(group).remove(group);
        self.shell.readers.remove(group);
        self.shell.views.remove(group);
        self.shell.tell(group, Happening::FsmRemoved);
        self.shell.forget_leader(group);
        self.transfer(Transfer::Retain {
            group,
            keep: Vec::<SnapshotRef>::new(),
        });
        self.shell.announce();
    }
}

/// Takes transfers from the consensus thread and runs them as tasks.
pub(super) async fn run_transfers(shell: Arc<Shell>, mut transfers: mpsc::Receiver<Transfer>) {
    let mut sending = JoinSet::new();
    while let Some(transfer) = transfers.recv().await {
        while sending.try_join_next().is_some() {}
        transfer::run(&shell, transfer, &mut sending).await;
    }
}
