//! What the leader of group 0 does for the members, and what each node does for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_driver::directory::{DirectoryCommand, DirectoryState, Founder, NodeRole};
use coracle_driver::{Event, GroupStatus};
use coracle_proto::{DEFAULT_PRIORITY, GroupId, NodeId, Role};
use coracle_transport::PeerFailure;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::super::Shell;
use super::super::call::Call;
use super::AddressBook;
use super::plan::MAX_LAG;

/// A learner is given its vote when it has kept up for so long.
const STABLE_FOR: Duration = Duration::from_secs(2);

/// A node that was removed stays a member of group 0 for so long, so that it hears of it.
const FAREWELL: Duration = Duration::from_secs(1);

/// A node that was removed and hears no leader any more stops after so long.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// In what a peer says to a node that was removed for good.
const REMOVED: &str = "was removed from this cluster";

/// After a step that was refused.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Time for one step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two rounds of asking for the authority's key.
const KEY_PAUSE: Duration = Duration::from_secs(2);

/// Time for a peer to take note of an address.
const MOVED_TIMEOUT: Duration = Duration::from_secs(2);

/// What a node keeps in mind between two looks at the directory.
#[derive(Debug)]
pub(in super::super) struct Chores {
    book: AddressBook,
    /// This node's own address is not what the others were told.
    moved: bool,
    caught_up: BTreeMap<NodeId, Instant>,
    gone: BTreeMap<NodeId, Instant>,
    leaderless: Option<Instant>,
    telling: JoinSet<()>,
    working: JoinSet<()>,
    fetching: JoinSet<()>,
    priority: u8,
}

impl Chores {
    pub(in super::super) fn new(shell: &Shell, book: AddressBook) -> Self {
        let moved = shell.own_peer().is_some_and(|own| book.has_moved(own));
        Self {
            book,
            moved,
            caught_up: BTreeMap::new(),
            gone: BTreeMap::new(),
            leaderless: None,
            telling: JoinSet::new(),
            working: JoinSet::new(),
            fetching: JoinSet::new(),
            priority: DEFAULT_PRIORITY,
        }
    }

    /// A node that was away while it was removed learns it from those who refuse it. Needs no
    /// directory: nobody brings it up to date any more.
    pub(in super::super) fn heed_refusals(&self, shell: &Shell) {
        let Some(transport) = shell.transport.get() else {
            return;
        };
        let refused = self.book.first(&shell.config).into_keys().any(|peer| {
            let state = transport.peer_state(peer);
            let last = state.filter(|state| !state.connected);
            let error = last.and_then(|state| state.last_error);
            matches!(error, Some(PeerFailure::NotMember { reason }) if reason.contains(REMOVED))
        });
        if refused {
            shell.fail(removed_message(shell.node));
        }
    }

    /// Tells the others where this node is now. Needs no directory: until they know, they cannot
    /// bring it up to date.
    pub(in super::super) fn tell_address(&mut self, shell: &Arc<Shell>) {
        while self.telling.try_join_next().is_some() {}
        let Some(own) = shell.own_peer().filter(|_| self.moved) else {
            return;
        };
        if !self.telling.is_empty() {
            return;
        }
        let call = Call::Moved {
            quic: own.quic.to_string(),
        };
        for peer in self.book.first(&shell.config).into_keys() {
            let (shell, call) = (Arc::clone(shell), call.clone());
            self.telling.spawn(async move {
                // It is told again until the directory has it.
                let _ = shell.ask(peer, &call, Instant::now() + MOVED_TIMEOUT).await;
            });
        }
    }

    /// Whether nothing is under way and nothing waits for its time.
    pub(in super::super) fn is_idle(&self) -> bool {
        let tasks = [&self.telling, &self.working, &self.fetching];
        tasks.iter().all(|tasks| tasks.is_empty())
            && !self.moved
            && self.leaderless.is_none()
            && self.caught_up.is_empty()
            && self.gone.is_empty()
    }

    /// Follows the directory. Answers which nodes stay members of group 0 a little longer.
    pub(in super::super) fn follow(
        &mut self,
        shell: &Arc<Shell>,
        state: &DirectoryState,
        hosted: &BTreeMap<GroupId, GroupStatus>,
    ) -> BTreeSet<NodeId> {
        if let Some(transport) = shell.transport.get() {
            self.book.follow(transport, &shell.config, &state.members);
        }
        let system = hosted.get(&GroupId::SYSTEM);
        let leads = system.is_some_and(|status| status.raft.role == Role::Leader);
        self.look_for_removal(shell, state, system);
        self.fetch_authority(shell, state);
        self.follow_priority(shell, state);
        while self.working.try_join_next().is_some() {}
        if self.working.is_empty() {
            let command = match system.filter(|_| leads) {
                Some(system) => self.duty(shell, state, system),
                None => None,
            };
            if let Some(command) = command.or_else(|| self.own_address(shell, state)) {
                self.working.spawn(propose(Arc::clone(shell), command));
            }
        }
        let keep = self.farewells(state, system);
        if let Some(transport) = shell.transport.get()
            && keep.is_empty()
            && !state.members.is_removed(shell.node)
        {
            let settled = system.is_some_and(|status| status.raft.configuration_committed);
            if settled {
                self.book.forget(transport, &shell.config, &state.members);
            }
        }
        keep
    }

    /// The election priority that the directory gives this node.
    fn follow_priority(&mut self, shell: &Shell, state: &DirectoryState) {
        let own = state.members.nodes.get(&shell.node);
        if let Some(priority) = own.map(|node| node.priority)
            && self.priority != priority
        {
            self.priority = priority;
            shell.inbox.push(Event::SetPriority(priority));
        }
    }

    /// A node that votes may have to let others in, and needs the authority's key for it.
    fn fetch_authority(&mut self, shell: &Arc<Shell>, state: &DirectoryState) {
        while self.fetching.try_join_next().is_some() {}
        let voters = state.members.with_role(NodeRole::Voter);
        let lacks = voters.contains(&shell.node) && !shell.config.authority_key().exists();
        if !lacks || !self.fetching.is_empty() {
            return;
        }
        let shell = Arc::clone(shell);
        self.fetching.spawn(async move {
            for peer in voters.iter().filter(|peer| **peer != shell.node) {
                match shell.fetch_authority(*peer).await {
                    Ok(()) => return,
                    Err(failure) => {
                        debug!(%peer, reason = failure.detail, "no key of the authority");
                    }
                }
            }
            tokio::time::sleep(KEY_PAUSE).await;
        });
    }

    /// What the leader of group 0 is to propose next.
    fn duty(
        &mut self,
        shell: &Shell,
        state: &DirectoryState,
        system: &GroupStatus,
    ) -> Option<DirectoryCommand> {
        if state.members.nodes.is_empty() {
            return Some(found(shell));
        }
        self.staged(state, system).or_else(|| departed(state))
    }

    /// The learner that has kept up for long enough.
    fn staged(&mut self, state: &DirectoryState, system: &GroupStatus) -> Option<DirectoryCommand> {
        let now = Instant::now();
        let raft = &system.raft;
        let keeps_up = |node: &NodeId| {
            let member = raft
                .configuration
                .learners
                .iter()
                .any(|id| id.node == *node);
            let mut peers = raft.peers.iter();
            member
                && peers.any(|peer| {
                    peer.id.node == *node
                        && peer.active
                        && peer.matched + MAX_LAG >= raft.last.index
                })
        };
        let staged = state.members.nodes.iter();
        let staged = staged.filter(|(_, node)| node.staged.is_some() && !node.leaving);
        let ready: BTreeSet<NodeId> = staged.map(|(id, _)| *id).filter(keeps_up).collect();
        self.caught_up.retain(|node, _| ready.contains(node));
        for node in ready {
            let since = *self.caught_up.entry(node).or_insert(now);
            if now.duration_since(since) >= STABLE_FOR {
                info!(%node, "it has caught up and becomes what it was to become");
                return Some(DirectoryCommand::CompleteStaging { node });
            }
        }
        None
    }

    /// A node that was started elsewhere than the directory says tells it.
    fn own_address(&mut self, shell: &Shell, state: &DirectoryState) -> Option<DirectoryCommand> {
        let own = shell.own_peer()?;
        let known = state.members.nodes.get(&shell.node)?;
        let (quic, http) = (own.quic.to_string(), format!("http://{}", own.http));
        if known.quic == quic && known.http == http {
            self.moved = false;
        }
        self.moved.then_some(DirectoryCommand::SetNodeAddress {
            node: shell.node,
            quic,
            http,
            expected: None,
        })
    }

    /// Members of group 0 that the directory has just dropped.
    fn farewells(
        &mut self,
        state: &DirectoryState,
        system: Option<&GroupStatus>,
    ) -> BTreeSet<NodeId> {
        let now = Instant::now();
        let members = system.map(|system| system.raft.configuration.members());
        let dropped: BTreeSet<NodeId> = members
            .iter()
            .flatten()
            .map(|id| id.node)
            .filter(|node| state.members.is_removed(*node))
            .collect();
        self.gone.retain(|node, _| dropped.contains(node));
        let fresh = |node: &NodeId| now.duration_since(*self.gone.entry(*node).or_insert(now));
        let mut fresh = fresh;
        dropped
            .into_iter()
            .filter(|node| fresh(node) < FAREWELL)
            .collect()
    }

    /// Whether this node was removed from the cluster and has nothing left to do in it.
    fn look_for_removal(
        &mut self,
        shell: &Shell,
        state: &DirectoryState,
        system: Option<&GroupStatus>,
    ) {
        if !state.members.is_removed(shell.node) {
            return;
        }
        let raft = system.map(|status| &status.raft);
        let member = raft.is_some_and(|raft| {
            !raft.configuration_committed
                || raft
                    .configuration
                    .members()
                    .iter()
                    .any(|id| id.node == shell.node)
        });
        if shell.leader(GroupId::SYSTEM).is_some() && member {
            self.leaderless = None;
            return;
        }
        let since = *self.leaderless.get_or_insert_with(Instant::now);
        if !member || since.elapsed() >= LAST_WORDS {
            shell.fail(removed_message(shell.node));
        }
    }
}

/// What a node that is no member any more says when it stops.
pub(in super::super) fn removed_message(node: NodeId) -> String {
    format!(
        "{node} was removed from the cluster, for good: its data folder may be deleted. To use \
         this machine again, join as a new node: `coracle token create join` on a member, then \
         `coracle start --join TICKET --data-dir NEW_FOLDER` here"
    )
}

fn found(shell: &Shell) -> DirectoryCommand {
    let founders = shell.config.peers.iter().map(|peer| Founder {
        node: NodeId(peer.id),
        quic: peer.quic.to_string(),
        http: format!("http://{}", peer.http),
    });
    DirectoryCommand::FoundCluster {
        cluster: shell.config.cluster.clone(),
        founders: founders.collect(),
    }
}

/// A leaving node that no group counts on any more.
fn departed(state: &DirectoryState) -> Option<DirectoryCommand> {
    let leaving = state.members.nodes.iter().filter(|(_, node)| node.leaving);
    let free = |node: &NodeId| {
        state.fsms.values().all(|fsm| match &fsm.members {
            Some(members) => members.all().all(|id| id.node != *node),
            None => !fsm.nodes.contains(node),
        })
    };
    let mut free = leaving.map(|(id, _)| *id).filter(free);
    free.next().map(|node| DirectoryCommand::DropNode { node })
}

async fn propose(shell: Arc<Shell>, command: DirectoryCommand) {
    let call = Call::Directory {
        command: command.encode(),
    };
    let result = shell.at_leader(call, Instant::now() + STEP_TIMEOUT).await;
    if let Err(failure) = result {
        warn!(reason = failure.detail, "the members are reconciled again");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    shell.announce();
}
