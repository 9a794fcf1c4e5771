//! The asking side of a transfer, and the sending of data, which both sides do.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use coracle_proto::NodeId;
use quinn::{Connection, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::OwnedSemaphorePermit;

use crate::dial::dial;
use crate::frame;
use crate::limits::{BULK_CHUNK_BYTES, MAX_BULK_HEADER_BYTES};
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::ALPN_BULK;

use super::{BUSY, BulkError, BulkReader, BulkSource, FETCH, OK, REFUSED, SEND, in_time, lost};

/// Code of a stream whose source failed.
const SOURCE_FAILED: VarInt = VarInt::from_u32(2);

/// A bulk connection with its stream.
struct Asking {
    guard: Guard,
    send: SendStream,
    recv: RecvStream,
}

/// Closes a bulk connection, and frees its slot, when dropped.
pub(super) struct Guard {
    connection: Connection,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Guard {
    fn drop(&mut self) {
        quic::close_connection(&self.connection, close::DONE, "done");
    }
}

/// Sends data to a peer and returns its reply.
pub(crate) async fn send(
    shared: &Arc<Shared>,
    to: NodeId,
    header: Bytes,
    source: Box<dyn BulkSource>,
    mut progress: Box<dyn FnMut(u64) + Send>,
) -> Result<Bytes, BulkError> {
    let limits = &shared.limits;
    let mut asking = ask(shared, to, SEND, header).await?;
    match send_data(shared, &mut asking.send, source, &mut *progress).await {
        Ok(()) => {}
        // The peer has made up its mind: its reply says how.
        Err(SendError::Stopped) => {}
        Err(SendError::Failed(error)) => return Err(error),
    }
    let status = read_status(limits.bulk_reply_timeout, &mut asking.recv).await?;
    let reply = frame::read(&mut asking.recv, MAX_BULK_HEADER_BYTES);
    let reply = in_time(limits.bulk_stall_timeout, reply).await?;
    judge(status, &reply)?;
    Ok(reply)
}

/// Asks a peer for data.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    from: NodeId,
    header: Bytes,
) -> Result<BulkReader, BulkError> {
    let limits = &shared.limits;
    let mut asking = ask(shared, from, FETCH, header).await?;
    let _ = asking.send.finish();
    let status = read_status(limits.bulk_reply_timeout, &mut asking.recv).await?;
    if status != OK {
        let reason = frame::read(&mut asking.recv, MAX_BULK_HEADER_BYTES);
        let reason = in_time(limits.bulk_stall_timeout, reason).await?;
        judge(status, &reason)?;
    }
    let mut length = [0; 8];
    let read = asking.recv.read_exact(&mut length);
    in_time(limits.bulk_stall_timeout, read).await?;
    let length = u64::from_le_bytes(length);
    let Asking { guard, recv, .. } = asking;
    Ok(BulkReader::new(shared, recv, length, Some(guard)))
}

async fn ask(shared: &Shared, to: NodeId, kind: u8, header: Bytes) -> Result<Asking, BulkError> {
    check_header("header", &header)?;
    let peer = shared.peer(to).ok_or(BulkError::UnknownPeer)?;
    let slots = Arc::clone(&shared.outbound_bulk_slots);
    let slot = slots
        .try_acquire_owned()
        .map_err(|_| BulkError::Busy("this node"))?;
    let (connection, _) = dial(shared, to, peer.addr(), ALPN_BULK)
        .await
        .map_err(|error| BulkError::NotConnected {
            reason: error.to_string(),
        })?;
    let guard = Guard {
        connection,
        _slot: slot,
    };
    let limit = shared.limits.bulk_stall_timeout;
    let (mut send, recv) = in_time(limit, guard.connection.open_bi()).await?;
    in_time(limit, send.write_all(&[kind])).await?;
    in_time(limit, frame::write(&mut send, header)).await?;
    Ok(Asking { guard, send, recv })
}

async fn read_status(limit: std::time::Duration, recv: &mut RecvStream) -> Result<u8, BulkError> {
    let mut status = [0];
    in_time(limit, recv.read_exact(&mut status)).await?;
    Ok(status[0])
}

fn judge(status: u8, reply: &[u8]) -> Result<(), BulkError> {
    match status {
        OK => Ok(()),
        REFUSED => Err(BulkError::Refused {
            reason: String::from_utf8_lossy(reply).into_owned(),
        }),
        BUSY => Err(BulkError::Busy("the peer")),
        other => Err(lost(format!("reply has unknown status {other}"))),
    }
}

pub(super) fn check_header(what: &'static str, bytes: &Bytes) -> Result<(), BulkError> {
    if bytes.len() > MAX_BULK_HEADER_BYTES {
        return Err(BulkError::TooLarge {
            what,
            bytes: bytes.len() as u64,
            limit: MAX_BULK_HEADER_BYTES as u64,
        });
    }
    Ok(())
}

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

/// Writes `u64` length and the data, chunk by chunk, and ends the stream.
pub(super) async fn send_data(
    shared: &Shared,
    stream: &mut SendStream,
    mut source: Box<dyn BulkSource>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), SendError> {
    let length = source.length();
    write_chunk(
        shared,
        stream,
        Bytes::copy_from_slice(&length.to_le_bytes()),
    )
    .await?;
    let mut sent = 0;
    while sent < length {
        let wanted = usize::try_from(length - sent)
            .map_or(BULK_CHUNK_BYTES, |rest| rest.min(BULK_CHUNK_BYTES));
        let chunk = match read_chunk(source, wanted).await {
            Ok((back, chunk)) => {
                source = back;
                chunk
            }
            Err(error) => {
                // Without this the end of the stream would look like the end of the data.
                let _ = stream.reset(SOURCE_FAILED);
                return Err(BulkError::Source(error).into());
            }
        };
        let bytes = chunk.len();
        write_chunk(shared, stream, chunk).await?;
        sent += bytes as u64;
        shared.counters.bulk_bytes_sent.add(bytes);
        progress(sent);
    }
    let _ = stream.finish();
    Ok(())
}

async fn write_chunk(
    shared: &Shared,
    stream: &mut SendStream,
    chunk: Bytes,
) -> Result<(), SendError> {
    let limit = shared.limits.bulk_stall_timeout;
    match tokio::time::timeout(limit, stream.write_chunk(chunk)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WriteError::Stopped(_))) => Err(SendError::Stopped),
        Ok(Err(error)) => Err(lost(error).into()),
        Err(_) => Err(BulkError::Stalled(limit).into()),
    }
}

/// Reads on a thread that may block; the source goes there and comes back.
async fn read_chunk(
    mut source: Box<dyn BulkSource>,
    wanted: usize,
) -> io::Result<(Box<dyn BulkSource>, Bytes)> {
    let read = move || {
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
