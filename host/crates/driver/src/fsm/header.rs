//! The header of a snapshot file: everything a replica must know of a group beside its state.

use coracle_proto::{Configuration, GroupId, Index, LogId, Term};
use serde::{Deserialize, Serialize};

use super::chain::Chain;
use crate::{Environment, MachineSpec};

/// The format this build writes, and the only one it reads.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// What a snapshot file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The group.
    pub group: GroupId,
    /// The last entry it includes.
    pub last: LogId,
    /// The configuration as of that entry.
    pub configuration: Configuration,
    /// That entry's environment: what `restore` sees. Its time is the last time of the group.
    pub environment: Environment,
    /// What restores the state: plugin, config, limits, contract, epoch.
    pub spec: MachineSpec,
    /// What the session section holds.
    pub sessions: SessionSummary,
    /// The outcome chain *before* the last entry; whose link needs the digest of the state.
    pub(super) chain: Chain,
}

/// What the session section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Remembered commands.
    pub commands: u64,
}

/// A header that does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// This build does not know its format.
    #[error("snapshot header: format {format}, this build reads {SNAPSHOT_FORMAT}")]
    Format {
        /// What it says.
        format: u32,
    },
    /// Its bytes are not a header.
    #[error("snapshot header: {reason}")]
    Malformed {
        /// What the decoder says.
        reason: String,
    },
}

impl SnapshotHeader {
    /// Its bytes: the format, then the rest in postcard.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = SNAPSHOT_FORMAT.to_le_bytes().to_vec();
        let stored = Stored::from(self);
        bytes.extend(postcard::to_stdvec(&stored).expect("invariant: plain data encodes"));
        bytes
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (format, rest) = bytes
            .split_first_chunk()
            .ok_or_else(|| malformed(&format!("{} bytes", bytes.len())))?;
        let format = u32::from_le_bytes(*format);
        if format != SNAPSHOT_FORMAT {
            return Err(HeaderError::Format { format });
        }
        let (stored, extra): (Stored, _) =
            postcard::take_from_bytes(rest).map_err(|error| malformed(&error.to_string()))?;
        if !extra.is_empty() {
            return Err(malformed(&format!("{} bytes after its end", extra.len())));
        }
        stored.try_into()
    }
}

fn malformed(reason: &str) -> HeaderError {
    HeaderError::Malformed {
        reason: reason.into(),
    }
}

/// The header as it is stored; the core's types know no serde.
#[derive(Serialize, Deserialize)]
struct Stored {
    group: u64,
    last: (Term, Index),
    configuration: Vec<u8>,
    environment: Environment,
    spec: MachineSpec,
    sessions: SessionSummary,
    chain: Chain,
}

impl From<&SnapshotHeader> for Stored {
    fn from(header: &SnapshotHeader) -> Self {
        Self {
            group: header.group.0,
            last: (header.last.term, header.last.index),
            configuration: header.configuration.encode().to_vec(),
            environment: header.environment,
            spec: header.spec.clone(),
            sessions: header.sessions,
            chain: header.chain.clone(),
        }
    }
}

impl TryFrom<Stored> for SnapshotHeader {
    type Error = HeaderError;

    fn try_from(stored: Stored) -> Result<Self, HeaderError> {
        let configuration = Configuration::decode(&stored.configuration)
            .map_err(|error| malformed(&error.to_string()))?;
        let (term, index) = stored.last;
        Ok(Self {
            group: GroupId(stored.group),
            last: LogId { term, index },
            configuration,
            environment: stored.environment,
            spec: stored.spec,
            sessions: stored.sessions,
            chain: stored.chain,
        })
    }
}
