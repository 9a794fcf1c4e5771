//! What is wanted.

use std::collections::BTreeMap;

use coracle_proto::{GroupId, Index, NodeId};
use serde::{Deserialize, Serialize};

use super::command::{DirectoryCommand, Refusal};
use super::ids;
use crate::{Digest, Limits};

/// Characters in the name of an fsm.
pub const MAX_NAME: usize = 63;

/// Version of the encoding of the state.
const VERSION: u8 = 1;

/// The whole directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DirectoryState {
    /// The plugins whose bytes a majority has.
    pub plugins: BTreeMap<Digest, Plugin>,
    /// The fsms, by name.
    pub fsms: BTreeMap<String, Fsm>,
    /// The nodes.
    #[serde(with = "ids::node_map")]
    pub nodes: BTreeMap<NodeId, Node>,
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
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its QUIC address.
    pub quic: String,
    /// Its HTTP URL.
    pub http: String,
}

impl DirectoryState {
    /// The fsm of this name.
    pub fn fsm(&self, name: &str) -> Option<&Fsm> {
        self.fsms.get(name)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("invariant: plain data encodes")
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest)
                .map_err(|error| format!("malformed directory state: {error}")),
            Some((version, _)) => Err(format!(
                "directory state of version {version}, this build reads {VERSION}"
            )),
            None => Err("empty directory state".into()),
        }
    }

    /// Applies one command of the entry at `index`; returns the reply. A refusal changes nothing.
    pub fn apply(&mut self, index: Index, command: DirectoryCommand) -> Result<Vec<u8>, Refusal> {
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
                };
                return self.create(name, fsm);
            }
            DirectoryCommand::SetFsmPlugin { group, plugin } => self.set_plugin(group, plugin)?,
            DirectoryCommand::RetireFsm { name } => match self.fsms.get_mut(&name) {
                Some(fsm) => fsm.retiring = true,
                None => return Err(Refusal::UnknownFsm { name }),
            },
            DirectoryCommand::DropFsm { group } => self.drop_fsm(group)?,
            DirectoryCommand::RegisterNode { node, quic, http } => {
                self.nodes.insert(node, Node { quic, http });
            }
        }
        Ok(Vec::new())
    }

    fn create(&mut self, name: String, fsm: Fsm) -> Result<Vec<u8>, Refusal> {
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
