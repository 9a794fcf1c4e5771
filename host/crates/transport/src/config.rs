//! Settings of a transport, and why it does not start with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use coracle_proto::NodeId;

use crate::identity::{ClusterName, Credentials, IdentityError, Name};
use crate::limits::{MAX_EPOCHS, MIN_DETECTION};
use crate::tls::Tls;
use crate::versions::Versions;

/// What a transport needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// The cluster; the certificates must name it too.
    pub cluster: String,
    /// This node's certificate and key.
    pub identity: Credentials,
    /// Certificate of the cluster's authority, in PEM.
    pub trust: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whom to connect to at once.
    pub peers: BTreeMap<NodeId, SocketAddr>,
    /// Wire versions to speak: all that this build knows, unless a newer one must be held back.
    pub versions: Versions,
    /// Engine epochs that this node runs, told to every peer; at most [`MAX_EPOCHS`].
    pub epochs: Vec<u32>,
    /// Times and queue sizes.
    pub limits: Limits,
}

impl Config {
    /// Checks that certificate, authority and settings speak of the same node and cluster, without
    /// opening anything.
    pub fn check(&self) -> Result<(), TransportError> {
        let known = Versions::SUPPORTED;
        let Versions { oldest, newest } = self.versions;
        if oldest > newest || oldest < known.oldest || newest > known.newest {
            return Err(TransportError::Versions {
                asked: self.versions,
            });
        }
        if self.epochs.len() > MAX_EPOCHS {
            return Err(TransportError::Epochs {
                given: self.epochs.len(),
            });
        }
        Tls::new(self).map(drop)
    }
}

/// Settings with a default that fits a local network.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that may wait on a peer's control lane.
    pub control_queue_bytes: usize,
    /// Bytes that may wait on each of a peer's append lanes.
    pub append_queue_bytes: usize,
    /// Whether frames are compressed for peers that can read them.
    pub compress: bool,
    /// A connection without a sign of life for so long is lost; see [`Limits::detecting`].
    pub idle_timeout: Duration,
    /// How often a quiet connection gives a sign of life; below a third of `idle_timeout`.
    pub keep_alive_interval: Duration,
    /// Round trip time assumed before the first was measured.
    pub initial_rtt: Duration,
    /// An attempt to connect is given up after this long.
    pub dial_timeout: Duration,
    /// Longest pause between attempts to connect.
    pub max_backoff: Duration,
    /// Bytes per second at which bulk data may leave this node, over all transfers; 0 is no limit.
    /// See [`Transport::set_bulk_rate`](crate::Transport::set_bulk_rate).
    pub bulk_rate: u64,
    /// A bulk transfer that does not move for so long is given up.
    pub bulk_stall_timeout: Duration,
    /// How long the receiver of a bulk transfer may take to answer once it has all of it.
    pub bulk_reply_timeout: Duration,
}

impl Limits {
    /// The default, but a peer that is gone without a word is reported as down within `time`: at
    /// most so long after the last sign of life from it. Shorter than the default is of use where
    /// idle groups rely on that report; too short, and a stalled machine looks like a dead one.
    pub fn detecting(time: Duration) -> Self {
        let time = time.max(MIN_DETECTION);
        // What we send ourselves, at the latest a sign of life, puts the end off once.
        Self {
            idle_timeout: time * 4 / 5,
            keep_alive_interval: time / 5,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_queue_bytes: 4 << 20,
            append_queue_bytes: 16 << 20,
            compress: true,
            idle_timeout: Duration::from_secs(6),
            keep_alive_interval: Duration::from_millis(1500),
            initial_rtt: Duration::from_millis(20),
            dial_timeout: Duration::from_secs(1),
            max_backoff: Duration::from_millis(500),
            bulk_rate: 0,
            bulk_stall_timeout: Duration::from_secs(30),
            bulk_reply_timeout: Duration::from_secs(120),
        }
    }
}

/// Why a transport does not start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A certificate or key is of no use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificate is somebody else's.
    #[error("certificate names {found}, this node is {expected}")]
    OtherName {
        /// The name in the certificate.
        found: Name,
        /// What the settings say.
        expected: Name,
    },
    /// The trusted authority is another cluster's.
    #[error("trusted authority is of cluster {found}, this node is of cluster {expected}")]
    OtherAuthority {
        /// The cluster in the authority's certificate.
        found: ClusterName,
        /// What the settings say.
        expected: ClusterName,
    },
    /// Wire versions that this build does not speak.
    #[error(
        "wire versions {asked} are not those of this build, {}",
        Versions::SUPPORTED
    )]
    Versions {
        /// What the settings say.
        asked: Versions,
    },
    /// More engine epochs than fit in a hello.
    #[error("{given} engine epochs are above the limit of {MAX_EPOCHS}")]
    Epochs {
        /// How many.
        given: usize,
    },
    /// The TLS library refuses the certificate or key.
    #[error("tls: {reason}")]
    Tls {
        /// What it says.
        reason: String,
    },
    /// The socket could not be opened.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// The operating system's answer.
        source: std::io::Error,
    },
}
