//! Joining: one question and one answer between a node that has no certificate yet and a node of
//! the cluster.
//!
//! Only the answering side is authenticated, by the public key of the cluster's authority, which
//! the asking side knows from its ticket. What is asked and answered is the host's business. After
//! the handshake there is one stream: a frame with the request, then `u8` status (0 answered,
//! 1 busy, 2 nobody can join here) and, if answered, a frame with the reply.

mod dial;
mod pinned;
mod serve;

use std::net::SocketAddr;
use std::time::Duration;

use quinn::Connection;

use crate::limits::MAX_JOIN_BYTES;

pub use dial::dial;
pub(crate) use serve::{Joins, serve};

const ANSWERED: u8 = 0;
const BUSY: u8 = 1;
const NOT_HERE: u8 = 2;

/// Label of the secret that both ends derive from the handshake (RFC 8446, section 7.5).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-coracle-join/1";

/// Why joining failed. Unless it says otherwise, the cluster may have handled the request.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody answers there. Nothing was handled.
    #[error("no answer from {addr}: {reason}")]
    Unreachable {
        /// Where.
        addr: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// Somebody else answers there. Nothing was sent to it.
    #[error("{addr} is not of the cluster that made the ticket: its authority has another key")]
    WrongAuthority {
        /// Where.
        addr: SocketAddr,
    },
    /// The authority is the right one, but what was shown is not a valid node of it. Nothing was
    /// sent.
    #[error("{addr} does not show a valid certificate of its cluster: {reason}")]
    Untrusted {
        /// Where.
        addr: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many join at once. Nothing was handled; try again.
    #[error("{addr} is busy with others that join; try again in a moment")]
    Busy {
        /// Where.
        addr: SocketAddr,
    },
    /// This node answers no joins. Nothing was handled; ask another one.
    #[error("{addr} takes in no new nodes; try another address")]
    NotHere {
        /// Where.
        addr: SocketAddr,
    },
    /// The request does not fit.
    #[error("join request of {bytes} bytes is above the limit of {MAX_JOIN_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No answer in time.
    #[error("{addr} did not answer within {after:?}")]
    Timeout {
        /// Where.
        addr: SocketAddr,
        /// How long it had.
        after: Duration,
    },
    /// The connection was lost, or the other side does not keep to the protocol.
    #[error("connection to {addr} lost: {reason}")]
    Lost {
        /// Where.
        addr: SocketAddr,
        /// What happened.
        reason: String,
    },
}

/// The secret of a connection, the same on both ends.
fn exporter(connection: &Connection) -> Option<[u8; 32]> {
    let mut secret = [0; 32];
    connection
        .export_keying_material(&mut secret, EXPORTER_LABEL, b"")
        .ok()?;
    Some(secret)
}
