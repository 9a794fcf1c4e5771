//! The members as this node sees them.

use std::collections::{BTreeMap, BTreeSet};

use coracle_client::{MemberInfo, MemberList, MemberRole};
use coracle_driver::GroupStatus;
use coracle_driver::directory::{DirectoryState, GroupMembers, Node, NodeRole, Wanted};
use coracle_proto::{Configuration, GroupId, NodeId, ReplicaId, Role, Status};

use super::super::Shell;

/// Names of groups in [`MemberList::pending`].
const MAX_PENDING: usize = 32;

impl Shell {
    /// The members; `None` if the node stops. Needs no leader.
    pub(in super::super) async fn members(&self) -> Option<MemberList> {
        let system = self.system_status().await?;
        let state = self.directory.state();
        let raft = system.as_ref().map(|status| &status.raft);
        let leader = raft.and_then(|raft| raft.leader.map(|leader| leader.node));
        let members = state.members.nodes.iter();
        let members = members
            .map(|(id, node)| self.member(&state, *id, node, raft))
            .collect();
        Some(MemberList {
            view: self.node.0,
            cluster: self.config.cluster.clone(),
            leader: leader.map(|leader| leader.0),
            term: raft.map_or(0, |raft| raft.hard_state.term),
            index: state.members.index,
            tolerance: raft
                .filter(|raft| raft.leader.is_some())
                .map(|raft| tolerance(&raft.configuration, |node| self.reaches(node))),
            pending: pending(&state, raft),
            members,
        })
    }

    /// Group 0 on this node, if it is here; the outer `None` says that the node stops.
    pub(in super::super) async fn system_status(&self) -> Option<Option<GroupStatus>> {
        let statuses = self.inbox.look(|node| node.statuses()).await?;
        Some(statuses.into_iter().find(|s| s.group == GroupId::SYSTEM))
    }

    /// Whether this node is connected to another.
    pub(in super::super) fn reaches(&self, node: NodeId) -> bool {
        let connected = |transport: &coracle_transport::Transport| {
            transport
                .peer_state(node)
                .is_some_and(|state| state.connected)
        };
        node == self.node || self.transport.get().is_some_and(connected)
    }

    fn member(
        &self,
        state: &DirectoryState,
        id: NodeId,
        node: &Node,
        raft: Option<&Status>,
    ) -> MemberInfo {
        let leads = raft.is_some_and(|raft| raft.leader.is_some_and(|leader| leader.node == id));
        let matched = raft.and_then(|raft| matched(raft, id));
        let in_group = |members: &GroupMembers| members.all().any(|member| member.node == id);
        let fsms = state.fsms.values();
        let fsms = fsms.filter(|fsm| match &fsm.members {
            Some(members) => in_group(members),
            None => fsm.nodes.contains(&id),
        });
        MemberInfo {
            node: id.0,
            name: node.name.clone(),
            role: role(node.role),
            becomes: node.staged.map(role),
            replaces: node.replaces.map(|old| old.0),
            leaving: node.leaving,
            quic: node.quic.clone(),
            http: node.http.clone(),
            priority: node.priority,
            leads,
            reachable: self.reaches(id),
            matched,
            lag: matched.and_then(|matched| Some(raft?.last.index.saturating_sub(matched))),
            fsms: fsms.count() as u64,
        }
    }
}

/// The directory's word in the words of the interface.
pub(in super::super) fn role(role: NodeRole) -> MemberRole {
    match role {
        NodeRole::Voter => MemberRole::Voter,
        NodeRole::Learner => MemberRole::Learner,
        NodeRole::Witness => MemberRole::Witness,
    }
}

/// The word of the interface in the directory's.
pub(in super::super) fn node_role(role: MemberRole) -> NodeRole {
    match role {
        MemberRole::Voter => NodeRole::Voter,
        MemberRole::Learner => NodeRole::Learner,
        MemberRole::Witness => NodeRole::Witness,
    }
}

/// On a leader: how much of its log a member has.
fn matched(raft: &Status, node: NodeId) -> Option<u64> {
    if raft.role != Role::Leader {
        return None;
    }
    if node == raft.id.node {
        return Some(raft.last.index);
    }
    let mut peers = raft.peers.iter();
    peers.find(|peer| peer.id.node == node).map(|p| p.matched)
}

/// How many more of those voters that are reached may fail.
pub(super) fn tolerance(configuration: &Configuration, reached: impl Fn(NodeId) -> bool) -> u64 {
    let spare = |voters: &BTreeSet<ReplicaId>| {
        let alive = voters.iter().filter(|id| reached(id.node)).count();
        alive.saturating_sub(voters.len() / 2 + 1) as u64
    };
    match &configuration.outgoing {
        outgoing if outgoing.is_empty() => spare(&configuration.voters),
        outgoing => spare(&configuration.voters).min(spare(outgoing)),
    }
}

/// Groups whose members are not those that are wanted.
fn pending(state: &DirectoryState, raft: Option<&Status>) -> Vec<String> {
    let is = |configuration: &Configuration| -> BTreeMap<NodeId, NodeRole> {
        let voters = configuration
            .voters
            .iter()
            .map(|id| (id.node, NodeRole::Voter));
        let learners = configuration.learners.iter();
        voters
            .chain(learners.map(|id| (id.node, NodeRole::Learner)))
            .collect()
    };
    let system = raft.filter(|raft| {
        let staged = state
            .members
            .nodes
            .values()
            .any(|node| node.staged.is_some());
        let leaving = state.members.nodes.values().any(|node| node.leaving);
        let configuration = &raft.configuration;
        let settled = raft.configuration_committed && configuration.outgoing.is_empty();
        staged || leaving || !settled || is(configuration) != roles(&state.wanted_system())
    });
    let fsms = state.fsms.iter().filter(|(_, fsm)| {
        let wanted = roles(&state.wanted(fsm));
        let members = fsm.members.as_ref().map(|members| {
            let with =
                |ids: &[ReplicaId], role| ids.iter().map(|id| (id.node, role)).collect::<Vec<_>>();
            [
                with(&members.voters, NodeRole::Voter),
                with(&members.learners, NodeRole::Learner),
                with(&members.witnesses, NodeRole::Witness),
            ]
            .concat()
        });
        let first = || {
            fsm.nodes
                .iter()
                .map(|node| (*node, NodeRole::Voter))
                .collect()
        };
        let members: BTreeMap<_, _> = members.unwrap_or_else(first).into_iter().collect();
        !fsm.retiring && members != wanted
    });
    let names = fsms.map(|(name, _)| name.clone());
    system
        .map(|_| "group 0".to_owned())
        .into_iter()
        .chain(names)
        .take(MAX_PENDING)
        .collect()
}

fn roles(wanted: &Wanted) -> BTreeMap<NodeId, NodeRole> {
    let with = |ids: &BTreeSet<NodeId>, role| ids.iter().map(|id| (*id, role)).collect::<Vec<_>>();
    [
        with(&wanted.voters, NodeRole::Voter),
        with(&wanted.learners, NodeRole::Learner),
        with(&wanted.witnesses, NodeRole::Witness),
    ]
    .concat()
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_fail_is_counted_among_those_that_live() {
        let five = Configuration::initial((1..=5).map(NodeId));
        assert_eq!(tolerance(&five, |_| true), 2);
        assert_eq!(tolerance(&five, |node| node.0 > 1), 1);
        assert_eq!(tolerance(&five, |node| node.0 > 3), 0);
        let mut joint = Configuration::initial([NodeId(1)]);
        joint.outgoing = five.voters;
        assert_eq!(tolerance(&joint, |_| true), 0);
    }
}
