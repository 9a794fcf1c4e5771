//! What the directory can be asked to change, and how it refuses.

use coracle_proto::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

use super::ids;
use super::state::MAX_NAME;
use crate::{Digest, Limits};

/// Version of the encoding of commands.
const VERSION: u8 = 1;

/// A command of group 0. New variants are added at the end only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryCommand {
    /// A majority has the plugin's bytes. Answered with nothing; repeating it is fine.
    RegisterPlugin {
        /// SHA-256 of its bytes.
        digest: Digest,
        /// What it says of itself.
        name: String,
        /// What it says of itself.
        version: String,
        /// Its size.
        bytes: u64,
    },
    /// Create an fsm. Answered with its group (u64, little-endian): the index of this entry, or
    /// that of the group that was created by the same request before.
    CreateFsm {
        /// Its name.
        name: String,
        /// What it runs.
        plugin: Digest,
        /// The plugin's settings, sorted by key.
        config: Vec<(String, String)>,
        /// Its bounds.
        limits: Limits,
        /// Its first voters.
        #[serde(with = "ids::nodes")]
        nodes: Vec<NodeId>,
    },
    /// The group runs this plugin now. For the listing; the group's own log is the truth.
    SetFsmPlugin {
        /// Which.
        #[serde(with = "ids::group")]
        group: GroupId,
        /// What it runs.
        plugin: Digest,
    },
    /// The fsm is to go. Repeating it is fine. Its name is free again after `DropFsm`.
    RetireFsm {
        /// Which.
        name: String,
    },
    /// The group is retired in its own log: forget it. Repeating it is fine.
    DropFsm {
        /// Which.
        #[serde(with = "ids::group")]
        group: GroupId,
    },
    /// A node and where it is reached.
    RegisterNode {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// Its QUIC address.
        quic: String,
        /// Its HTTP URL.
        http: String,
    },
}

/// Why the directory refuses a command. Its text is the guest's reply to the client; what stands
/// before the first colon is its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name is in use.
    #[error("conflict: there is an fsm {name} already, group {group}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        group: u64,
    },
    /// The fsm is being removed.
    #[error("conflict: fsm {name} is being removed, group {group}")]
    Retiring {
        /// The name.
        name: String,
        /// Who has it.
        group: u64,
    },
    /// Two groups in one entry would have the same id.
    #[error("conflict: another fsm was created by the same entry {index}: try again")]
    SameEntry {
        /// The entry.
        index: u64,
    },
    /// `DropFsm` without `RetireFsm`.
    #[error("conflict: group {group} is not being removed")]
    NotRetiring {
        /// The group.
        group: u64,
    },
    /// No such plugin.
    #[error("not found: plugin {plugin} is not registered")]
    UnknownPlugin {
        /// Its digest.
        plugin: Digest,
    },
    /// No such fsm.
    #[error("not found: there is no fsm {name}")]
    UnknownFsm {
        /// Its name.
        name: String,
    },
    /// No such group.
    #[error("not found: there is no group {group}")]
    UnknownGroup {
        /// Its id.
        group: u64,
    },
    /// The name breaks the rules.
    #[error(
        "bad request: fsm name {name:?}: 1 to {MAX_NAME} characters of a-z, 0-9, '-' and '_', \
         beginning with a letter"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The fsm would run nowhere.
    #[error("bad request: an fsm needs at least one node, each once")]
    BadNodes,
    /// The settings are not sorted, or a key stands there twice.
    #[error("bad request: settings must be sorted by key, each key once")]
    BadConfig,
    /// The bytes are not a command.
    #[error("bad request: malformed directory command: {reason}")]
    Malformed {
        /// What the decoder says.
        reason: String,
    },
}

impl DirectoryCommand {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("invariant: plain data encodes")
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |reason: String| Refusal::Malformed { reason };
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|error| malformed(error.to_string()))
            }
            Some((version, _)) => Err(malformed(format!("version {version}"))),
            None => Err(malformed("it is empty".into())),
        }
    }
}
