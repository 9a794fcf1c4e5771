//! Why a peer is not connected.

use std::time::Duration;

use quinn::ConnectionError;

use crate::quic::close;
use crate::versions::VersionMismatch;

/// Why the last attempt to connect failed, or the last connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerFailure {
    /// No wire version in common.
    #[error(transparent)]
    Versions(#[from] VersionMismatch),
    /// The peer says that this node is no member of the cluster any more, or not yet.
    #[error("{reason}")]
    NotMember {
        /// What it says.
        reason: String,
    },
    /// One end is not who it should be: certificate, cluster or node id.
    #[error("{reason}")]
    Identity {
        /// What does not fit.
        reason: String,
    },
    /// The peer closed the connection.
    #[error("closed by the peer: {reason}")]
    Closed {
        /// What it says.
        reason: String,
    },
    /// No answer.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was silent for too long.
    #[error("connection lost: timed out")]
    Silent,
    /// The network, or this node itself.
    #[error("{reason}")]
    Network {
        /// What happened.
        reason: String,
    },
}

/// The kinds of [`PeerFailure`], for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// [`PeerFailure::Versions`].
    Versions,
    /// [`PeerFailure::NotMember`].
    NotMember,
    /// [`PeerFailure::Identity`].
    Identity,
    /// [`PeerFailure::Closed`].
    Closed,
    /// [`PeerFailure::Timeout`] and [`PeerFailure::Silent`].
    Timeout,
    /// [`PeerFailure::Network`].
    Network,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Versions,
        Self::NotMember,
        Self::Identity,
        Self::Closed,
        Self::Timeout,
        Self::Network,
    ];

    /// Its name, as a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::NotMember => "not_member",
            Self::Identity => "identity",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Network => "network",
        }
    }
}

impl PeerFailure {
    /// Its kind.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Versions(_) => FailureKind::Versions,
            Self::NotMember { .. } => FailureKind::NotMember,
            Self::Identity { .. } => FailureKind::Identity,
            Self::Closed { .. } => FailureKind::Closed,
            Self::Timeout(_) | Self::Silent => FailureKind::Timeout,
            Self::Network { .. } => FailureKind::Network,
        }
    }

    pub(crate) fn identity(reason: impl ToString) -> Self {
        Self::Identity {
            reason: reason.to_string(),
        }
    }

    pub(crate) fn network(reason: impl ToString) -> Self {
        Self::Network {
            reason: reason.to_string(),
        }
    }
}

impl From<ConnectionError> for PeerFailure {
    fn from(error: ConnectionError) -> Self {
        /// Codes of TLS alerts begin here and go on for 256 (RFC 9001).
        const CRYPTO: std::ops::Range<u64> = 0x100..0x200;
        match &error {
            ConnectionError::ApplicationClosed(closed) => {
                let reason = String::from_utf8_lossy(&closed.reason).into_owned();
                match closed.error_code {
                    close::NOT_MEMBER => Self::NotMember { reason },
                    close::IDENTITY => Self::Identity { reason },
                    _ => Self::Closed { reason },
                }
            }
            ConnectionError::TransportError(inner) if CRYPTO.contains(&u64::from(inner.code)) => {
                Self::identity(error)
            }
            ConnectionError::ConnectionClosed(inner)
                if CRYPTO.contains(&u64::from(inner.error_code)) =>
            {
                Self::identity(error)
            }
            ConnectionError::TimedOut => Self::Silent,
            _ => Self::network(error),
        }
    }
}
