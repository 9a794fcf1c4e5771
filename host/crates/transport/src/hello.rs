//! The first exchange on every connection: who we are, and which wire versions we speak.

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::{Connection, SendStream};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::frame::{self, FrameError};
use crate::limits::MAX_HELLO_BYTES;
use crate::versions::{VersionMismatch, Versions};

/// What each side says, in postcard. New fields are added at the end; an older node ignores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: Versions,
    pub(crate) cluster: String,
    pub(crate) node: NodeId,
    /// A random number per start of the process, by which a restart is noticed.
    pub(crate) incarnation: u64,
    /// The engine epochs that the node runs; none from a node of before version 2.
    pub(crate) epochs: Vec<u32>,
}

/// The fields of version 1.
#[derive(Serialize, Deserialize)]
struct First {
    min_version: u16,
    max_version: u16,
    cluster: String,
    node: u64,
    incarnation: u64,
}

/// Those that version 2 added.
#[derive(Serialize, Deserialize)]
struct Second {
    epochs: Vec<u32>,
}

/// A peer that introduced itself, and the version spoken with it.
#[derive(Debug, Clone)]
pub(crate) struct Greeted {
    pub(crate) hello: Hello,
    pub(crate) version: u16,
}

/// Why the exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("peer is of cluster {found:?}, this node is of cluster {own:?}")]
    ForeignCluster { found: String, own: String },
    #[error("peer says it is {said}, its certificate says {certified}")]
    OtherNode { said: NodeId, certified: NodeId },
    #[error(transparent)]
    Versions(#[from] VersionMismatch),
    #[error("hello is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("hello: {0}")]
    Frame(#[from] FrameError),
    #[error("hello: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("hello: {0}")]
    Connection(#[from] quinn::ConnectionError),
}

impl HelloError {
    /// Whether the peer is at fault, and not the network.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Connection(_) | Self::Write(_) | Self::Frame(FrameError::Lost(_))
        )
    }
}

impl Hello {
    pub(crate) fn new(config: &Config, incarnation: u64) -> Self {
        Self {
            versions: config.versions,
            cluster: config.cluster.clone(),
            node: config.node,
            incarnation,
            epochs: config.epochs.clone(),
        }
    }

    /// The dialler's half: speaks first.
    pub(crate) async fn greet(
        &self,
        connection: &Connection,
        certified: NodeId,
    ) -> Result<Greeted, HelloError> {
        let (mut send, mut recv) = connection.open_bi().await?;
        frame::write(&mut send, self.encode()?).await?;
        let answer = Self::decode(&frame::read(&mut recv, MAX_HELLO_BYTES).await?)?;
        let version = self.check(&answer, certified)?;
        Ok(Greeted {
            hello: answer,
            version,
        })
    }

    /// The listener's half.
    pub(crate) async fn answer(
        &self,
        connection: &Connection,
        certified: NodeId,
    ) -> Result<Greeted, HelloError> {
        let (mut send, mut recv) = connection.accept_bi().await?;
        let greeting = Self::decode(&frame::read(&mut recv, MAX_HELLO_BYTES).await?)?;
        let version = match self.check(&greeting, certified) {
            Ok(version) => version,
            Err(error @ HelloError::Versions(_)) => {
                self.part(send).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        frame::write(&mut send, self.encode()?).await?;
        Ok(Greeted {
            hello: greeting,
            version,
        })
    }

    /// Tells a dialler with which no version is shared what we speak, so that it can say so too.
    async fn part(&self, mut send: SendStream) -> Result<(), HelloError> {
        frame::write(&mut send, self.encode()?).await?;
        let _ = send.finish();
        // Ends when the dialler has it, or is gone.
        let _ = send.stopped().await;
        Ok(())
    }

    fn check(&self, peer: &Self, certified: NodeId) -> Result<u16, HelloError> {
        if peer.cluster != self.cluster {
            return Err(HelloError::ForeignCluster {
                found: peer.cluster.clone(),
                own: self.cluster.clone(),
            });
        }
        if peer.node != certified {
            let said = peer.node;
            return Err(HelloError::OtherNode { said, certified });
        }
        let mismatch = VersionMismatch {
            own: self.versions,
            peer: peer.versions,
            peer_node: certified,
        };
        let common = self.versions.common(peer.versions);
        Ok(common.ok_or(mismatch)?)
    }

    pub(crate) fn encode(&self) -> Result<Bytes, HelloError> {
        let first = First {
            min_version: self.versions.oldest,
            max_version: self.versions.newest,
            cluster: self.cluster.clone(),
            node: self.node.0,
            incarnation: self.incarnation,
        };
        let bytes = postcard::to_stdvec(&first)?;
        if self.versions.newest < 2 {
            return Ok(bytes.into());
        }
        let second = Second {
            epochs: self.epochs.clone(),
        };
        Ok(postcard::to_extend(&second, bytes)?.into())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let (first, rest) = postcard::take_from_bytes::<First>(bytes)?;
        let epochs = if first.max_version < 2 {
            Vec::new()
        } else {
            let (second, _newer_fields) = postcard::take_from_bytes::<Second>(rest)?;
            second.epochs
        };
        Ok(Self {
            versions: Versions {
                oldest: first.min_version,
                newest: first.max_version,
            },
            cluster: first.cluster,
            node: NodeId(first.node),
            incarnation: first.incarnation,
            epochs,
        })
    }
}

#[cfg(test)]
impl Hello {
    /// One as a test peer says it.
    pub(crate) fn of(cluster: &str, node: NodeId, incarnation: u64) -> Self {
        Self {
            versions: Versions::SUPPORTED,
            cluster: cluster.to_owned(),
            node,
            incarnation,
            epochs: vec![1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a node of version 1 says: versions 1 to 1, cluster "prod", node 3, incarnation 9.
    const VERSION_1: &[u8] = b"\x01\x01\x04prod\x03\x09";

    #[test]
    fn fields_added_by_a_newer_version_are_ignored() {
        let hello = Hello::of("prod", NodeId(3), 9);
        let mut bytes = hello.encode().expect("encodes").to_vec();
        bytes.extend_from_slice(b"something new");
        assert_eq!(Hello::decode(&bytes).expect("decodes"), hello);
    }

    #[test]
    fn the_hello_of_version_1_is_read_and_written_to_the_byte() {
        let hello = Hello::decode(VERSION_1).expect("decodes");
        assert_eq!(hello.versions.to_string(), "1");
        assert!(hello.epochs.is_empty());
        assert_eq!(&hello.encode().expect("encodes")[..], VERSION_1);
    }

    #[test]
    fn the_hello_of_version_2_begins_as_that_of_version_1_and_adds_the_epochs() {
        let hello = Hello::of("prod", NodeId(3), 9);
        let bytes = hello.encode().expect("encodes");
        assert_eq!(&bytes[..], b"\x01\x02\x04prod\x03\x09\x01\x01");
    }

    #[test]
    fn false_names_are_refused_with_both_values() {
        let own = Hello::of("prod", NodeId(1), 0);
        let other = Hello::of("test", NodeId(2), 0);
        let error = own.check(&other, NodeId(2)).expect_err("cluster");
        assert!(error.to_string().contains("\"test\"") && error.to_string().contains("\"prod\""));
        let liar = Hello::of("prod", NodeId(2), 0);
        let error = own.check(&liar, NodeId(3)).expect_err("node");
        assert_eq!(
            error.to_string(),
            "peer says it is n2, its certificate says n3"
        );
    }
}
