//! QUIC between nodes, with mutual TLS.
//!
//! Each node dials each peer and sends over that connection: a control lane, a few append lanes,
//! and a stream per forwarded request. Snapshots and plugin bytes have connections of their own.
//! A node is who its certificate says, and every envelope must be from the node at the other end.
//! Nothing here blocks its caller and nothing grows without bound: a full lane drops and says so,
//! which Raft is built to bear.

mod bulk;
pub mod codec;
mod config;
mod dial;
mod failure;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod hello;
#[cfg(test)]
mod hostile;
pub mod identity;
mod inbound;
pub mod join;
mod lane;
mod limits;
mod listener_check;
mod mutant;
mod peer;
mod peer_stats;
mod quic;
mod request;
mod shared;
mod stats;
mod tls;
mod transport;
mod versions;
mod writer;

pub use bulk::{BulkError, BulkReader, BulkSource, BytesSource, Progress};
pub use config::{Config, Limits, TransportError};
pub use failure::{FailureKind, PeerFailure};
pub use handler::{BoxFuture, Handler, Refusal};
pub use lane::{DropReason, Lane, Overflow};
pub use limits::{
    APPEND_LANES, HELD_CONTROL_BYTES, JOIN_BURST, JOIN_INTERVAL, MAX_BATCH_ENVELOPES,
    MAX_BATCH_MEMORY_BYTES, MAX_BULK_HEADER_BYTES, MAX_EPOCHS, MAX_FRAME_BYTES, MAX_INBOUND_BULK,
    MAX_INBOUND_CONNECTIONS, MAX_INBOUND_JOINS, MAX_INBOUND_REQUEST_BYTES, MAX_INBOUND_REQUESTS,
    MAX_JOIN_BYTES, MAX_OUTBOUND_BULK, MAX_REQUEST_BYTES, MIN_BULK_RATE,
};
pub use peer::PeerState;
pub use peer_stats::{BulkStats, PeerStats};
pub use request::RequestError;
pub use stats::Stats;
pub use tls::{ALPN_BULK, ALPN_JOIN, ALPN_RAFT};
pub use transport::Transport;
pub use versions::{MAX_WIRE_VERSION, MIN_WIRE_VERSION, VersionMismatch, Versions};
