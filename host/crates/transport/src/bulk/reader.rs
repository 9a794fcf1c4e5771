//! The receiving end of a transfer's data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, VarInt};

use crate::limits::BULK_CHUNK_BYTES;
use crate::shared::Shared;

use super::transfer::Guard;
use super::{BulkError, in_time};

/// Reads a transfer's data as it arrives. Dropping it early ends the transfer.
pub struct BulkReader {
    stream: RecvStream,
    length: u64,
    received: u64,
    stall: Duration,
    shared: Arc<Shared>,
    /// Of a fetch: the connection lives as long as the reader.
    _connection: Option<Guard>,
}

impl BulkReader {
    pub(super) fn new(
        shared: &Arc<Shared>,
        stream: RecvStream,
        length: u64,
        connection: Option<Guard>,
    ) -> Self {
        Self {
            stream,
            length,
            received: 0,
            stall: shared.limits.bulk_stall_timeout,
            shared: Arc::clone(shared),
            _connection: connection,
        }
    }

    /// How many bytes the sender announced. A claim: check it before making room for them.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes; `None` once all that were announced have arrived.
    pub async fn read(&mut self) -> Result<Option<Bytes>, BulkError> {
        let remaining = self.length - self.received;
        if remaining == 0 {
            return Ok(None);
        }
        let wanted =
            usize::try_from(remaining).map_or(BULK_CHUNK_BYTES, |all| all.min(BULK_CHUNK_BYTES));
        let chunk = in_time(self.stall, self.stream.read_chunk(wanted, true)).await?;
        let Some(chunk) = chunk else {
            return Err(BulkError::Truncated {
                received: self.received,
                expected: self.length,
            });
        };
        self.received += chunk.bytes.len() as u64;
        self.shared
            .counters
            .bulk_bytes_received
            .add(chunk.bytes.len());
        Ok(Some(chunk.bytes))
    }

    /// Everything, if it is at most `limit` bytes.
    pub async fn read_all(mut self, limit: usize) -> Result<Bytes, BulkError> {
        if self.length > limit as u64 {
            return Err(BulkError::TooLarge {
                what: "data",
                bytes: self.length,
                limit: limit as u64,
            });
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = self.read().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl Drop for BulkReader {
    fn drop(&mut self) {
        // Fails only if the stream has ended.
        let _ = self.stream.stop(VarInt::from_u32(0));
    }
}

impl fmt::Debug for BulkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkReader({} of {} bytes)", self.received, self.length)
    }
}
