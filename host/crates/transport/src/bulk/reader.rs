//! The receiving end of a transfer's data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use coracle_proto::NodeId;
use quinn::{ReadExactError, RecvStream, SendStream, VarInt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::limits::BULK_CHUNK_BYTES;
use crate::peer::Peer;
use crate::shared::Shared;

use super::asking::Guard;
use super::chunk::{self, HEAD_BYTES};
use super::{BulkError, in_time, lost};

/// Reads a transfer's data as it arrives. Dropping it early ends the transfer.
pub struct BulkReader {
    stream: RecvStream,
    length: u64,
    description: Bytes,
    /// Bytes of the data that are here, those before the offset included.
    received: u64,
    start: Start,
    stall: Duration,
    shared: Arc<Shared>,
    peer: Option<Arc<Peer>>,
    /// Of a fetch: the connection lives as long as the reader.
    _connection: Option<Guard>,
}

/// How the other side learns where to begin.
pub(super) enum Start {
    /// Version 1: it begins at the beginning, whatever is wanted; so much is to be skipped.
    Unasked { skip: u64 },
    /// Sent to us: whoever answers says so.
    Answered(oneshot::Sender<u64>),
    /// Fetched by us: it waits for this.
    Asked(SendStream),
    /// It knows.
    Done,
}

impl BulkReader {
    pub(super) fn new(
        shared: &Arc<Shared>,
        from: NodeId,
        stream: RecvStream,
        length: u64,
        start: Start,
    ) -> Self {
        let peer = shared.peer(from);
        if let Some(peer) = &peer {
            peer.counters.bulk_received.transfers.one();
        }
        Self {
            stream,
            length,
            description: Bytes::new(),
            received: 0,
            start,
            stall: shared.limits.bulk_stall_timeout,
            shared: Arc::clone(shared),
            peer,
            _connection: None,
        }
    }

    pub(super) fn fetched(mut self, description: Bytes, connection: Guard) -> Self {
        self.description = description;
        self._connection = Some(connection);
        self
    }

    /// How many bytes the sender announced. A claim: check it before making room for them.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the giver says of the data; empty if it says nothing.
    pub fn description(&self) -> &Bytes {
        &self.description
    }

    /// How many bytes are here, those before the offset included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Begins at this offset, because what comes before is here already. Once, before the first
    /// `read`; without it the data come from the beginning.
    pub async fn resume_at(&mut self, offset: u64) -> Result<(), BulkError> {
        if offset > self.length {
            return Err(BulkError::TooLarge {
                what: "offset",
                bytes: offset,
                limit: self.length,
            });
        }
        match std::mem::replace(&mut self.start, Start::Done) {
            Start::Unasked { .. } => self.start = Start::Unasked { skip: offset },
            Start::Answered(answer) => answer
                .send(offset)
                .map_err(|_| lost("the transfer has ended"))?,
            Start::Asked(mut stream) => {
                in_time(self.stall, stream.write_all(&offset.to_le_bytes())).await?;
                let _ = stream.finish();
            }
            Start::Done => return Err(lost("the transfer has begun")),
        }
        self.received = offset;
        Ok(())
    }

    /// The next bytes; `None` once all that were announced have arrived.
    pub async fn read(&mut self) -> Result<Option<Bytes>, BulkError> {
        if matches!(self.start, Start::Answered(_) | Start::Asked(_)) {
            self.resume_at(0).await?;
        }
        if self.received == self.length {
            return Ok(None);
        }
        let began = Instant::now();
        let (data, wire) = match self.start {
            Start::Unasked { skip } => self.read_plain(skip).await?,
            _ => self.read_chunk().await?,
        };
        let count = data.len();
        self.received += count as u64;
        self.shared.counters.bulk_bytes_received.add(count);
        if let Some(peer) = &self.peer {
            peer.counters.bulk_received.chunk(count, wire, began);
        }
        Ok(Some(data))
    }

    /// Version 1: bytes as they come, without what is skipped.
    async fn read_plain(&mut self, mut skip: u64) -> Result<(Bytes, usize), BulkError> {
        loop {
            let most = match skip {
                0 => self.length - self.received,
                _ => skip,
            };
            let wanted =
                usize::try_from(most).map_or(BULK_CHUNK_BYTES, |all| all.min(BULK_CHUNK_BYTES));
            let chunk = in_time(self.stall, self.stream.read_chunk(wanted, true)).await?;
            let chunk = chunk.ok_or_else(|| self.truncated())?;
            let count = chunk.bytes.len();
            if skip == 0 {
                return Ok((chunk.bytes, count));
            }
            skip -= count as u64;
            self.start = Start::Unasked { skip };
        }
    }

    async fn read_chunk(&mut self) -> Result<(Bytes, usize), BulkError> {
        let mut head = [0; HEAD_BYTES];
        self.read_exact(&mut head).await?;
        let head = chunk::Head::decode(head, self.length - self.received)?;
        let mut body = BytesMut::zeroed(head.coded);
        self.read_exact(&mut body).await?;
        let data = head.open(body.freeze())?;
        Ok((data, HEAD_BYTES + head.coded))
    }

    async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), BulkError> {
        let read = tokio::time::timeout(self.stall, self.stream.read_exact(buffer)).await;
        match read {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ReadExactError::FinishedEarly(_))) => Err(self.truncated()),
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(BulkError::Stalled(self.stall)),
        }
    }

    fn truncated(&self) -> BulkError {
        BulkError::Truncated {
            received: self.received,
            expected: self.length,
        }
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
