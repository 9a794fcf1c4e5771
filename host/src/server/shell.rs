//! What the tasks of a node share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use coracle_client::{Code, Happening, RecoveredInfo};
use coracle_driver::LeaderChange;
use coracle_driver::directory::{DirectoryHandle, DirectoryState, Fsm, NodeRole};
use coracle_driver::{Limits, Snapshots};
use coracle_log::SnapshotFiles;
use coracle_proto::{GroupId, NodeId};
use coracle_transport::Transport;
use tokio::sync::{oneshot, watch};

use super::alarm::Alarm;
use super::call::Failure;
use super::consensus::Inbox;
use super::freshness::Freshness;
use super::plugins::Plugins;
use super::pool::Pool;
use super::settings::Settings;
use super::views::Views;
use super::waiters::Waiters;
use super::workers::{ReaderActor, WorkerActor};
use crate::config::{Config, Peer, resolve_limits};
use crate::events::Events;
use crate::metrics::Metrics;

/// What the tasks of a node share.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) node: NodeId,
    pub(super) config: Config,
    /// What `coracle recover` did to this node's folder, if it did.
    pub(super) recovered: Option<RecoveredInfo>,
    pub(super) inbox: Inbox,
    pub(super) waiters: Arc<Waiters>,
    pub(super) views: Arc<Views>,
    /// Group 0 has a thread of its own, which no tenant can hold up.
    pub(super) system: Pool<WorkerActor>,
    pub(super) fsms: Pool<WorkerActor>,
    pub(super) readers: Pool<ReaderActor>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) snapshots: Arc<dyn Snapshots>,
    /// The same, and the images beside them.
    pub(super) files: SnapshotFiles,
    pub(super) directory: DirectoryHandle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: Events,
    pub(super) started: Instant,
    pub(super) transport: OnceLock<Transport>,
    pub(super) leaders: Mutex<BTreeMap<GroupId, LeaderChange>>,
    pub(super) changed: watch::Sender<u64>,
    /// Why the node has to stop.
    pub(super) alarm: Alarm,
    pub(super) stopping: watch::Sender<bool>,
    /// The node gives its leaderships up.
    pub(super) draining: watch::Sender<bool>,
    pub(super) settings: Settings,
    pub(super) freshness: Freshness,
    /// Snapshot offers that wait for the node's word.
    pub(super) offers: Mutex<BTreeMap<u64, oneshot::Sender<bool>>>,
}

impl Shell {
    /// The pool that runs a group's worker.
    pub(super) fn workers(&self, group: GroupId) -> &Pool<WorkerActor> {
        if group == GroupId::SYSTEM {
            &self.system
        } else {
            &self.fsms
        }
    }

    /// The transport, once it is up.
    pub(super) fn transport(&self) -> Result<&Transport, Failure> {
        self.transport
            .get()
            .ok_or_else(|| Failure::not_applied(Code::Unavailable, "the node is starting"))
    }

    /// The nodes that stay in the cluster and run fsms, in ascending order.
    pub(super) fn all_nodes(&self) -> Vec<NodeId> {
        let state = self.directory.state();
        let mut nodes = self.staying_nodes();
        nodes.retain(|id| {
            let node = state.members.nodes.get(id);
            node.is_none_or(|node| node.role != NodeRole::Witness)
        });
        nodes
    }

    /// The nodes that stay in the cluster, witnesses included, in ascending order.
    pub(super) fn staying_nodes(&self) -> Vec<NodeId> {
        let members = &self.directory.state().members;
        if members.nodes.is_empty() {
            return self.founders();
        }
        let nodes = members.nodes.iter();
        nodes
            .filter(|(_, node)| !node.leaving)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether an fsm is to run on other nodes and not on this one: it is placed elsewhere, or this
    /// node is a witness.
    pub(super) fn is_elsewhere(&self, directory: &DirectoryState, fsm: &Fsm) -> bool {
        if directory.members.nodes.is_empty() {
            return !fsm.nodes.contains(&self.node);
        }
        let wanted = directory.wanted(fsm);
        !wanted.voters.contains(&self.node) && !wanted.learners.contains(&self.node)
    }

    /// Why a group has no worker here.
    pub(super) fn not_hosted(&self, group: GroupId) -> Failure {
        let directory = self.directory.state();
        let fsm = directory.fsm_of(group);
        let detail = match fsm.filter(|(_, fsm)| self.is_elsewhere(&directory, fsm)) {
            Some((name, fsm)) => {
                let wanted = directory.wanted(fsm);
                let nodes = wanted.voters.iter().chain(&wanted.learners);
                let nodes: Vec<String> = nodes.map(ToString::to_string).collect();
                format!(
                    "{name} does not run on {}, which has no state of it: ask one of {}, or ask for \
                     a linearizable answer",
                    self.node,
                    nodes.join(", ")
                )
            }
            None => "this node does not host the fsm yet".to_owned(),
        };
        Failure::not_applied(Code::Unavailable, detail)
    }

    /// The nodes that the configuration names, this one included, in ascending order.
    pub(super) fn founders(&self) -> Vec<NodeId> {
        let peers = self.config.peers.iter();
        let mut nodes: Vec<NodeId> = peers
            .map(|peer| NodeId(peer.id))
            .filter(|node| !self.was_left_behind(*node))
            .collect();
        nodes.sort_unstable();
        nodes
    }

    /// Whether a recovery left the node behind; it may still stand in the configuration.
    fn was_left_behind(&self, node: NodeId) -> bool {
        let recovered = self.recovered.as_ref();
        recovered.is_some_and(|recovered| recovered.removed.contains(&node.0))
    }

    /// Where the configuration says that this node is reached.
    pub(super) fn own_peer(&self) -> Option<&Peer> {
        let mut peers = self.config.peers.iter();
        peers.find(|peer| peer.id == self.node.0)
    }

    /// Snapshots kept per fsm beside the newest.
    pub(super) fn older_snapshots(&self) -> usize {
        usize::try_from(self.config.snapshot.keep.saturating_sub(1)).unwrap_or(usize::MAX)
    }

    /// Limits of an fsm whose creator asks for none.
    pub(super) fn default_limits(&self) -> Limits {
        resolve_limits(Limits::default(), &self.config.fsm)
    }

    /// Becomes ready after anything that somebody may wait for.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes those who wait for a change.
    pub(super) fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The leader of a group, as far as this node knows.
    pub(super) fn leader(&self, group: GroupId) -> Option<NodeId> {
        let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        leaders
            .get(&group)
            .and_then(|change| change.leader)
            .map(|replica| replica.node)
    }

    /// Snapshot offers that wait for the node's word.
    pub(super) fn offers(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<bool>>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The term of a group, as far as this node knows.
    pub(super) fn term(&self, group: GroupId) -> Option<u64> {
        let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        leaders.get(&group).map(|change| change.term)
    }

    /// The term in which this node leads a group now.
    pub(super) fn led_term(&self, group: GroupId) -> Option<u64> {
        let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        let change = leaders.get(&group).filter(|change| change.leads)?;
        Some(change.term)
    }

    pub(super) fn set_leader(&self, change: LeaderChange) {
        self.leaders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(change.group, change);
    }

    /// A group is gone from this node.
    pub(super) fn forget_leader(&self, group: GroupId) {
        self.freshness.forget(group);
        self.leaders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
    }

    /// Tells those who follow what happened to a group.
    pub(super) fn tell(&self, group: GroupId, what: Happening) {
        self.events.tell(Some(group.0), self.name_of(group), what);
    }

    /// Tells those who follow what happened to this node.
    pub(super) fn tell_all(&self, what: Happening) {
        self.events.tell(None, None, what);
    }

    /// The fsm of a group, as far as this node knows.
    pub(super) fn name_of(&self, group: GroupId) -> Option<String> {
        let directory = self.directory.state();
        let mut fsms = directory.fsms.iter();
        let found = fsms.find(|(_, fsm)| fsm.group == group);
        found.map(|(name, _)| name.clone())
    }

    /// Stops the node for a reason that its operator must know.
    pub(super) fn fail(&self, reason: String) {
        self.alarm.raise(reason);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.alarm.is_raised()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ends when the node stops. Whoever holds on to the node for long must wait for this beside
    /// whatever else it waits for: until it lets go, the data folder is in use.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // An error means that the node is gone altogether.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }
}
