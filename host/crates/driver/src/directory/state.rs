//! What is wanted.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{GroupId, Index, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

use super::command::DirectoryCommand;
use super::members::{Members, NodeRole};
use super::refusal::Refusal;
use super::{ids, version};
use crate::{Digest, Limits};

/// Characters in the name of an fsm.
pub const MAX_NAME: usize = 63;

/// What a command is answered with.
pub(super) type Reply = Result<Vec<u8>, Refusal>;

/// The whole directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DirectoryState {
    /// The plugins whose bytes a majority has.
    pub plugins: BTreeMap<Digest, Plugin>,
    /// The fsms, by name.
    pub fsms: BTreeMap<String, Fsm>,
    /// The nodes, and who may join them.
    pub members: Members,
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// What it says of itself.
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Its size.
    pub bytes: u64,
}

/// An fsm that is wanted, or on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fsm {
    /// Its group: the index of the entry that created it.
    #[serde(with = "ids::group")]
    pub group: GroupId,
    /// What it runs, as of the last report of its leader.
    pub plugin: Digest,
    /// What it was created with.
    pub created: Digest,
    /// The plugin's settings, sorted by key.
    pub config: Vec<(String, String)>,
    /// Its bounds.
    pub limits: Limits,
    /// Its first voters.
    #[serde(with = "ids::nodes")]
    pub nodes: Vec<NodeId>,
    /// Whether it is to go.
    pub retiring: bool,
    /// Where it is to run.
    pub placement: Placement,
    /// Its members, as of the last report of its leader.
    pub members: Option<GroupMembers>,
}

/// Where an fsm is to run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Placement {
    /// On all nodes of the cluster, also those that come later.
    #[default]
    All,
    /// On these nodes, ascending.
    Nodes(#[serde(with = "ids::nodes")] Vec<NodeId>),
}

/// A group's committed configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupMembers {
    /// Index of the entry in the group's own log.
    pub index: Index,
    /// Its voters, ascending.
    #[serde(with = "ids::replicas")]
    pub voters: Vec<ReplicaId>,
    /// Its learners, ascending.
    #[serde(with = "ids::replicas")]
    pub learners: Vec<ReplicaId>,
    /// Its witnesses, ascending.
    #[serde(with = "ids::replicas")]
    pub witnesses: Vec<ReplicaId>,
}

impl GroupMembers {
    /// Everybody.
    pub fn all(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let parts = [&self.voters, &self.learners, &self.witnesses];
        parts.into_iter().flatten().copied()
    }
}

/// What the members of a group are to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Who is to vote and run it.
    pub voters: BTreeSet<NodeId>,
    /// Who is to run it without a vote.
    pub learners: BTreeSet<NodeId>,
    /// Who is to vote and not run it.
    pub witnesses: BTreeSet<NodeId>,
}

impl DirectoryState {
    /// The fsm of this name.
    pub fn fsm(&self, name: &str) -> Option<&Fsm> {
        self.fsms.get(name)
    }

    /// The name of the fsm of this group, and the fsm.
    pub fn fsm_of(&self, group: GroupId) -> Option<(&str, &Fsm)> {
        let found = self.fsms.iter().find(|(_, fsm)| fsm.group == group);
        found.map(|(name, fsm)| (name.as_str(), fsm))
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        version::encode(self)
    }

    /// Reads what `encode` wrote, now or in an older release.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        version::decode(bytes)
    }

    /// What the members of group 0 are to be: every node runs it in full, and one that leaves
    /// stays until it is dropped.
    pub fn wanted_system(&self) -> Wanted {
        let nodes = self.members.nodes.iter();
        let (voters, learners): (Vec<_>, Vec<_>) = nodes.partition(|(_, node)| node.role.votes());
        let ids = |nodes: Vec<(&NodeId, _)>| nodes.into_iter().map(|(id, _)| *id).collect();
        Wanted {
            voters: ids(voters),
            learners: ids(learners),
            witnesses: BTreeSet::new(),
        }
    }

    /// What the members of an fsm's group are to be.
    pub fn wanted(&self, fsm: &Fsm) -> Wanted {
        let here = |role| {
            let mut nodes = self.members.with_role(role);
            if let Placement::Nodes(placed) = &fsm.placement {
                nodes.retain(|node| placed.contains(node));
            }
            nodes
        };
        Wanted {
            voters: here(NodeRole::Voter),
            learners: here(NodeRole::Learner),
            witnesses: here(NodeRole::Witness),
        }
    }

    /// Applies one command of the entry at `index` with the entry's time, nanoseconds since the
    /// Unix epoch; returns the reply. A refusal changes nothing.
    pub fn apply(&mut self, index: Index, time: u64, command: DirectoryCommand) -> Reply {
        let members = &mut self.members;
        match command {
            DirectoryCommand::FoundCluster { cluster, founders } => {
                members.found(index, cluster, founders)
            }
            DirectoryCommand::AddNode(new) => members.add(index, time, new),
            DirectoryCommand::SetNodeRole {
                node,
                role,
                expected,
            } => members.set_role(index, node, role, expected),
            DirectoryCommand::ReplaceNode { old, new, expected } => {
                members.replace(index, old, new, expected)
            }
            DirectoryCommand::CompleteStaging { node } => members.complete_staging(index, node),
            DirectoryCommand::SetNodeAddress {
                node,
                quic,
                http,
                expected,
            } => members.set_address(index, node, (quic, http), expected),
            DirectoryCommand::SetPriority {
                node,
                priority,
                expected,
            } => members.set_priority(index, node, priority, expected),
            DirectoryCommand::RemoveNode { node, expected } => {
                self.check_placements(node)?;
                self.members.remove(index, node, expected)
            }
            DirectoryCommand::DropNode { node } => self.drop_node(index, node),
            DirectoryCommand::CreateToken { id, token } => members.create_token(time, id, token),
            DirectoryCommand::RevokeToken { id } => members.revoke_token(id),
            DirectoryCommand::RegisterNode { .. } => Ok(Vec::new()),
            command => self.apply_to_fsms(index, command),
        }
    }

    fn apply_to_fsms(&mut self, index: Index, command: DirectoryCommand) -> Reply {
        match command {
            DirectoryCommand::RegisterPlugin {
                digest,
                name,
                version,
                bytes,
            } => {
                let plugin = Plugin {
                    name,
                    version,
                    bytes,
                };
                self.plugins.insert(digest, plugin);
            }
            DirectoryCommand::CreateFsm {
                name,
                plugin,
                config,
                limits,
                nodes,
            } => {
                let fsm = Fsm {
                    group: GroupId(index),
                    plugin,
                    created: plugin,
                    config,
                    limits,
                    nodes,
                    retiring: false,
                    placement: Placement::All,
                    members: None,
                };
                return self.create(name, fsm);
            }
            DirectoryCommand::SetFsmPlugin { group, plugin } => self.set_plugin(group, plugin)?,
            DirectoryCommand::RetireFsm { name } => match self.fsms.get_mut(&name) {
                Some(fsm) => fsm.retiring = true,
                None => return Err(Refusal::UnknownFsm { name }),
            },
            DirectoryCommand::DropFsm { group } => self.drop_fsm(group)?,
            DirectoryCommand::ReportMembers { group, members } => {
                self.report_members(group, members)?;
            }
            DirectoryCommand::PlaceFsm { name, placement } => self.place(name, placement)?,
            // Those of the members were taken before.
            _ => {}
        }
        Ok(Vec::new())
    }

    fn create(&mut self, name: String, fsm: Fsm) -> Reply {
        check_name(&name)?;
        check_unique(&fsm)?;
        let reply = |group: GroupId| group.0.to_le_bytes().to_vec();
        if let Some(old) = self.fsms.get(&name) {
            let group = old.group.0;
            return match (old.retiring, same_request(old, &fsm)) {
                (true, _) => Err(Refusal::Retiring { name, group }),
                (false, true) => Ok(reply(old.group)),
                (false, false) => Err(Refusal::NameTaken { name, group }),
            };
        }
        if !self.plugins.contains_key(&fsm.plugin) {
            return Err(Refusal::UnknownPlugin { plugin: fsm.plugin });
        }
        if self.fsms.values().any(|other| other.group == fsm.group) {
            let index = fsm.group.0;
            return Err(Refusal::SameEntry { index });
        }
        let group = fsm.group;
        self.fsms.insert(name, fsm);
        Ok(reply(group))
    }

    fn set_plugin(&mut self, group: GroupId, plugin: Digest) -> Result<(), Refusal> {
        if !self.plugins.contains_key(&plugin) {
            return Err(Refusal::UnknownPlugin { plugin });
        }
        match self.fsms.values_mut().find(|fsm| fsm.group == group) {
            Some(fsm) => fsm.plugin = plugin,
            None => return Err(Refusal::UnknownGroup { group: group.0 }),
        }
        Ok(())
    }

    fn report_members(&mut self, group: GroupId, members: GroupMembers) -> Result<(), Refusal> {
        let unknown = Refusal::UnknownGroup { group: group.0 };
        let mut fsms = self.fsms.values_mut();
        let fsm = fsms.find(|fsm| fsm.group == group).ok_or(unknown)?;
        // A deposed leader may be late with its report.
        if fsm
            .members
            .as_ref()
            .is_none_or(|old| old.index <= members.index)
        {
            fsm.members = Some(members);
        }
        Ok(())
    }

    fn place(&mut self, name: String, placement: Placement) -> Result<(), Refusal> {
        if let Placement::Nodes(nodes) = &placement {
            if nodes.is_empty() || !nodes.is_sorted_by(|a, b| a < b) {
                return Err(Refusal::BadNodes);
            }
            let stays = |node: &NodeId| self.members.nodes.get(node).is_some_and(|n| !n.leaving);
            if let Some(node) = nodes.iter().find(|node| !stays(node)) {
                return Err(Refusal::BadPlacement { node: node.0 });
            }
            let voters = self.members.with_role(NodeRole::Voter);
            if !nodes.iter().any(|node| voters.contains(node)) {
                return Err(Refusal::NoVoterPlaced { name });
            }
        }
        match self.fsms.get_mut(&name) {
            Some(fsm) => fsm.placement = placement,
            None => return Err(Refusal::UnknownFsm { name }),
        }
        Ok(())
    }

    /// No fsm may be left with nowhere to run.
    fn check_placements(&self, node: NodeId) -> Result<(), Refusal> {
        let alone = self.fsms.iter().find(|(_, fsm)| {
            let voters = self.wanted(fsm).voters;
            voters.contains(&node) && voters.len() == 1
        });
        match alone {
            Some((name, fsm)) if fsm.placement != Placement::All => {
                let name = name.clone();
                let node = node.0;
                Err(Refusal::OnlyPlace { name, node })
            }
            _ => Ok(()),
        }
    }

    fn drop_node(&mut self, index: Index, node: NodeId) -> Reply {
        let reply = self.members.drop_node(index, node)?;
        for fsm in self.fsms.values_mut() {
            if let Placement::Nodes(nodes) = &mut fsm.placement {
                nodes.retain(|placed| *placed != node);
            }
        }
        Ok(reply)
    }

    fn drop_fsm(&mut self, group: GroupId) -> Result<(), Refusal> {
        let found = self.fsms.iter().find(|(_, fsm)| fsm.group == group);
        match found.map(|(name, fsm)| (name.clone(), fsm.retiring)) {
            Some((name, true)) => {
                self.fsms.remove(&name);
                Ok(())
            }
            Some((_, false)) => Err(Refusal::NotRetiring { group: group.0 }),
            None => Ok(()),
        }
    }
}

/// Whether `new` asks for what `old` was created by, so that a retry gets the same group.
fn same_request(old: &Fsm, new: &Fsm) -> bool {
    old.created == new.created
        && old.config == new.config
        && old.limits == new.limits
        && old.nodes == new.nodes
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        // What is shown of it is bounded as well.
        let name = name.chars().take(2 * MAX_NAME).collect();
        return Err(Refusal::BadName { name });
    }
    Ok(())
}

fn check_unique(fsm: &Fsm) -> Result<(), Refusal> {
    if fsm.nodes.is_empty() || !fsm.nodes.is_sorted_by(|a, b| a < b) {
        return Err(Refusal::BadNodes);
    }
    if !fsm.config.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(Refusal::BadConfig);
    }
    Ok(())
}
