//! Big things between nodes: what is sent or asked for over a bulk connection.

use bytes::Bytes;
use coracle_driver::Digest;
use coracle_driver::SendSnapshot;
use coracle_proto::{GroupId, LogId, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

/// Version of the encoding.
const VERSION: u8 = 1;

/// What a bulk stream carries, or what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Bulk {
    /// A snapshot file on its way to a follower.
    Snapshot(SnapshotOffer),
    /// The bytes of a plugin.
    Plugin {
        /// SHA-256 of them.
        digest: Digest,
    },
    /// The newest snapshot that the asked node has of a group.
    Newest {
        /// The group.
        group: u64,
        /// An older one is of no use.
        at_least: u64,
    },
    /// An image: a snapshot file that a user brought.
    Image {
        /// Digest in its trailer.
        digest: Digest,
    },
}

/// What a snapshot that is fetched is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    last: (u64, u64),
    pub(super) digest: Digest,
}

impl Given {
    pub(super) fn new(last: LogId, digest: Digest) -> Self {
        Self {
            last: (last.term, last.index),
            digest,
        }
    }

    pub(super) fn last(&self) -> LogId {
        LogId {
            term: self.last.0,
            index: self.last.1,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let bytes = postcard::to_stdvec(self);
        Bytes::from(bytes.expect("owned values without maps of unknown length always encode"))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|error| format!("malformed description: {error}"))
    }
}

/// What the receiver of a snapshot needs to know beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotOffer {
    group: u64,
    from: (u64, u64),
    to: (u64, u64),
    pub(super) term: u64,
    last: (u64, u64),
    pub(super) digest: Digest,
}

impl SnapshotOffer {
    pub(super) fn new(send: &SendSnapshot) -> Self {
        Self {
            group: send.group.0,
            from: (send.from.node.0, send.from.born),
            to: (send.to.node.0, send.to.born),
            term: send.term,
            last: (send.snapshot.last.term, send.snapshot.last.index),
            digest: send.snapshot.digest,
        }
    }

    pub(super) fn group(&self) -> GroupId {
        GroupId(self.group)
    }

    pub(super) fn from(&self) -> ReplicaId {
        ReplicaId {
            node: NodeId(self.from.0),
            born: self.from.1,
        }
    }

    pub(super) fn to(&self) -> ReplicaId {
        ReplicaId {
            node: NodeId(self.to.0),
            born: self.to.1,
        }
    }

    pub(super) fn last(&self) -> LogId {
        LogId {
            term: self.last.0,
            index: self.last.1,
        }
    }
}

impl Bulk {
    pub(super) fn encode(&self) -> Bytes {
        let bytes = postcard::to_extend(self, vec![VERSION]);
        Bytes::from(bytes.expect("owned values without maps of unknown length always encode"))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|error| format!("malformed header: {error}"))
            }
            Some((version, _)) => Err(format!(
                "bulk headers of version {version} are not known here (this is {VERSION})"
            )),
            None => Err("empty header".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_way_and_garbage_is_refused() {
        let bulk = Bulk::Plugin {
            digest: Digest([7; 32]),
        };
        assert_eq!(Bulk::decode(&bulk.encode()), Ok(bulk));
        assert!(Bulk::decode(b"").is_err());
        assert!(Bulk::decode(b"\x01\xff").is_err());
        assert!(Bulk::decode(b"\x09\x00").is_err());
    }
}
