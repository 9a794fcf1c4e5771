//! Sending the data of a transfer, which both sides do.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use coracle_proto::NodeId;
use quinn::{SendStream, VarInt, WriteError};
use tokio::time::Instant;

use crate::peer::Peer;
use crate::shared::Shared;

use super::{BulkError, BulkSource, Progress, chunk, lost};

/// Code of a stream whose source failed.
const SOURCE_FAILED: VarInt = VarInt::from_u32(2);

/// Why data was not sent to its end.
pub(super) enum SendError {
    /// The receiver wants no more.
    Stopped,
    /// It cannot be.
    Failed(BulkError),
}

impl From<BulkError> for SendError {
    fn from(error: BulkError) -> Self {
        Self::Failed(error)
    }
}

/// Data on its way out.
pub(super) struct Sending<'a> {
    shared: &'a Shared,
    peer: Option<Arc<Peer>>,
    version: u16,
    stream: &'a mut SendStream,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        to: NodeId,
        version: u16,
        stream: &'a mut SendStream,
    ) -> Self {
        let peer = shared.peer(to);
        if let Some(peer) = &peer {
            peer.counters.bulk_sent.transfers.one();
        }
        Self {
            shared,
            peer,
            version,
            stream,
        }
    }

    /// Writes the data from `offset` on, chunk by chunk, and ends the stream.
    pub(super) async fn run(
        mut self,
        source: Box<dyn BulkSource>,
        offset: u64,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), SendError> {
        let total = source.length();
        let mut source = Some((source, offset > 0));
        let mut bytes = offset;
        while bytes < total {
            let began = Instant::now();
            let most = self.shared.throttle.chunk();
            let wanted = usize::try_from(total - bytes).map_or(most, |rest| rest.min(most));
            let (from, seek) = source.take().expect("put back by every turn");
            let read = read_chunk(from, seek.then_some(offset), wanted).await;
            let (back, data) = match read {
                Ok(read) => read,
                Err(error) => {
                    // Without this the end of the stream would look like the end of the data.
                    let _ = self.stream.reset(SOURCE_FAILED);
                    return Err(BulkError::Source(error).into());
                }
            };
            source = Some((back, false));
            let count = data.len();
            self.write(data, began).await?;
            bytes += count as u64;
            progress(Progress { bytes, total });
        }
        let _ = self.stream.finish();
        Ok(())
    }

    async fn write(&mut self, data: Bytes, began: Instant) -> Result<(), SendError> {
        let count = data.len();
        let chunk = match self.version {
            1 => data,
            _ => chunk::encode(&data, self.shared.limits.compress),
        };
        let wire = chunk.len();
        self.shared.throttle.take(wire).await;
        write(self.shared, self.stream, chunk).await?;
        self.shared.counters.bulk_bytes_sent.add(count);
        if let Some(peer) = &self.peer {
            peer.counters.bulk_sent.chunk(count, wire, began);
        }
        Ok(())
    }
}

pub(super) async fn write(
    shared: &Shared,
    stream: &mut SendStream,
    bytes: Bytes,
) -> Result<(), SendError> {
    let limit = shared.limits.bulk_stall_timeout;
    match tokio::time::timeout(limit, stream.write_chunk(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WriteError::Stopped(_))) => Err(SendError::Stopped),
        Ok(Err(error)) => Err(lost(error).into()),
        Err(_) => Err(BulkError::Stalled(limit).into()),
    }
}

/// Reads on a thread that may block; the source goes there and comes back.
async fn read_chunk(
    mut source: Box<dyn BulkSource>,
    seek: Option<u64>,
    wanted: usize,
) -> io::Result<(Box<dyn BulkSource>, Bytes)> {
    let read = move || {
        if let Some(offset) = seek {
            source.seek(offset)?;
        }
        let mut buffer = BytesMut::zeroed(wanted);
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        Ok((source, buffer.freeze()))
    };
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
