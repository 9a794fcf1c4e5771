//! The first exchange on every connection: who we are, and which wire versions we speak.

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::Connection;
use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError};
use crate::limits::MAX_HELLO_BYTES;

/// Oldest wire version this node speaks.
pub const MIN_WIRE_VERSION: u16 = 1;
/// Newest wire version this node speaks.
pub const MAX_WIRE_VERSION: u16 = 1;

/// What each side says, in postcard. New fields are added at the end; an older node ignores them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) min_version: u16,
    pub(crate) max_version: u16,
    pub(crate) cluster: String,
    pub(crate) node: u64,
    /// A random number per start of the process, by which a restart is noticed.
    pub(crate) incarnation: u64,
}

/// Why the exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("peer is of cluster {found:?}, this node is of cluster {own:?}")]
    ForeignCluster { found: String, own: String },
    #[error("peer says it is {said}, its certificate says {certified}")]
    OtherNode { said: NodeId, certified: NodeId },
    #[error(
        "peer speaks wire versions {peer_min} to {peer_max}, this node {MIN_WIRE_VERSION} to {MAX_WIRE_VERSION}"
    )]
    Version { peer_min: u16, peer_max: u16 },
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
    pub(crate) fn new(cluster: &str, node: NodeId, incarnation: u64) -> Self {
        Self {
            min_version: MIN_WIRE_VERSION,
            max_version: MAX_WIRE_VERSION,
            cluster: cluster.to_owned(),
            node: node.0,
            incarnation,
        }
    }

    /// The dialer's half: speaks first.
    pub(crate) async fn greet(
        &self,
        connection: &Connection,
        certified: NodeId,
    ) -> Result<Self, HelloError> {
        let (mut send, mut recv) = connection.open_bi().await?;
        frame::write(&mut send, self.encode()?).await?;
        let answer = Self::decode(&frame::read(&mut recv, MAX_HELLO_BYTES).await?)?;
        self.check(&answer, certified)?;
        Ok(answer)
    }

    /// The listener's half.
    pub(crate) async fn answer(
        &self,
        connection: &Connection,
        certified: NodeId,
    ) -> Result<Self, HelloError> {
        let (mut send, mut recv) = connection.accept_bi().await?;
        let greeting = Self::decode(&frame::read(&mut recv, MAX_HELLO_BYTES).await?)?;
        self.check(&greeting, certified)?;
        frame::write(&mut send, self.encode()?).await?;
        Ok(greeting)
    }

    fn check(&self, peer: &Self, certified: NodeId) -> Result<(), HelloError> {
        if peer.cluster != self.cluster {
            return Err(HelloError::ForeignCluster {
                found: peer.cluster.clone(),
                own: self.cluster.clone(),
            });
        }
        if peer.node != certified.0 {
            let said = NodeId(peer.node);
            return Err(HelloError::OtherNode { said, certified });
        }
        if peer.min_version > self.max_version || peer.max_version < self.min_version {
            return Err(HelloError::Version {
                peer_min: peer.min_version,
                peer_max: peer.max_version,
            });
        }
        Ok(())
    }

    fn encode(&self) -> Result<Bytes, HelloError> {
        Ok(postcard::to_stdvec(self)?.into())
    }

    fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let (hello, _newer_fields) = postcard::take_from_bytes(bytes)?;
        Ok(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_added_by_a_newer_version_are_ignored() {
        let hello = Hello::new("prod", NodeId(3), 9);
        let mut bytes = hello.encode().expect("encodes").to_vec();
        bytes.extend_from_slice(b"something new");
        assert_eq!(Hello::decode(&bytes).expect("decodes"), hello);
    }

    #[test]
    fn disjoint_versions_and_false_names_are_refused_with_both_values() {
        let own = Hello::new("prod", NodeId(1), 0);
        let newer = Hello {
            min_version: MAX_WIRE_VERSION + 1,
            max_version: MAX_WIRE_VERSION + 2,
            ..Hello::new("prod", NodeId(2), 0)
        };
        let error = own.check(&newer, NodeId(2)).expect_err("versions");
        assert_eq!(
            error.to_string(),
            "peer speaks wire versions 2 to 3, this node 1 to 1"
        );
        let other = Hello::new("test", NodeId(2), 0);
        let error = own.check(&other, NodeId(2)).expect_err("cluster");
        assert!(error.to_string().contains("\"test\"") && error.to_string().contains("\"prod\""));
        let liar = Hello::new("prod", NodeId(2), 0);
        let error = own.check(&liar, NodeId(3)).expect_err("node");
        assert_eq!(
            error.to_string(),
            "peer says it is n2, its certificate says n3"
        );
    }
}
