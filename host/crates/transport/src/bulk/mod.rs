//! Bulk transfers: snapshots and plugin bytes, each on a connection of its own, so that they do
//! not stand in the way of heartbeats.
//!
//! After the hello there is one stream. Asking side: `u8` kind, frame with the header, and for a
//! sending `u64` length and the data. Answering side: `u8` status, then a frame with the reply or
//! the reason; for a fetch that is granted `u64` length and the data instead.
//!
//! From version 2 on data come in chunks, and not before their receiver has said from which offset
//! on: for a sending `u8` status "go on" and `u64` offset; for a fetch, whose granted status is
//! followed by a frame with a description and the `u64` length, `u64` offset.

mod asking;
mod chunk;
mod data;
mod reader;
mod serve;
mod source;
mod throttle;

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    pub(crate) use super::chunk::{decode_all, encode};
}

use std::time::Duration;

pub use reader::BulkReader;
pub use source::{BulkSource, BytesSource};

pub(crate) use asking::{fetch, send};
pub(crate) use serve::serve_all;
pub(crate) use throttle::Throttle;

/// Kind: the asking side sends data.
const SEND: u8 = 1;
/// Kind: the asking side wants data.
const FETCH: u8 = 2;

/// Status: done; the reply, or the data, follows.
const OK: u8 = 0;
/// Status: the handler refused; its reason follows.
const REFUSED: u8 = 1;
/// Status: too many transfers.
const BUSY: u8 = 2;
/// Status: the data are wanted, from the offset that follows on.
const GO: u8 = 3;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done, those included that the receiver had already.
    pub bytes: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Why a bulk transfer failed. The receiver may have all of it unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// No address is known for this node.
    #[error("unknown peer")]
    UnknownPeer,
    /// No connection could be made. Nothing was transferred.
    #[error("cannot connect: {reason}")]
    NotConnected {
        /// Why.
        reason: String,
    },
    /// Too many transfers at this node or at the peer. Nothing was transferred.
    #[error("too many bulk transfers at {0}")]
    Busy(&'static str),
    /// The peer's handler refused.
    #[error("refused by the peer: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
    },
    /// The local source could not be read.
    #[error("source: {0}")]
    Source(#[from] std::io::Error),
    /// Header or reply above [`MAX_BULK_HEADER_BYTES`](crate::MAX_BULK_HEADER_BYTES), or data
    /// above the caller's limit.
    #[error("{what} of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Nothing moved for too long.
    #[error("no progress within {0:?}")]
    Stalled(Duration),
    /// The data ended early.
    #[error("{received} of {expected} bytes arrived")]
    Truncated {
        /// What arrived.
        received: u64,
        /// What was announced.
        expected: u64,
    },
    /// The connection was lost, or the peer does not keep to the protocol.
    #[error("lost: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
}

fn lost(reason: impl ToString) -> BulkError {
    BulkError::Lost {
        reason: reason.to_string(),
    }
}

/// Gives up on what does not end in time.
async fn in_time<T, E: ToString>(
    limit: Duration,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, BulkError> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result.map_err(lost),
        Err(_) => Err(BulkError::Stalled(limit)),
    }
}
