//! The asking side of a transfer.

use std::sync::Arc;

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::OwnedSemaphorePermit;

use crate::dial::dial;
use crate::frame;
use crate::limits::MAX_BULK_HEADER_BYTES;
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::ALPN_BULK;

use super::data::{SendError, Sending};
use super::reader::Start;
use super::{
    BUSY, BulkError, BulkReader, BulkSource, FETCH, GO, OK, Progress, REFUSED, SEND, in_time, lost,
};

/// A bulk connection with its stream.
struct Asking {
    guard: Guard,
    send: SendStream,
    recv: RecvStream,
    version: u16,
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
    mut progress: Box<dyn FnMut(Progress) + Send>,
) -> Result<Bytes, BulkError> {
    let limits = &shared.limits;
    let mut asking = ask(shared, to, SEND, header).await?;
    let length = source.length().to_le_bytes();
    in_time(limits.bulk_stall_timeout, asking.send.write_all(&length)).await?;
    let offset = match asking.version {
        1 => 0,
        _ => match read_status(limits.bulk_reply_timeout, &mut asking.recv).await? {
            GO => read_number(limits.bulk_stall_timeout, &mut asking.recv).await?,
            // It does not need to see the data to know what it thinks of them.
            status => return read_reply(shared, status, &mut asking.recv).await,
        },
    };
    if offset > source.length() {
        return Err(lost(format!("asked to go on from {offset}, past the end")));
    }
    let sending = Sending::new(shared, to, asking.version, &mut asking.send);
    match sending.run(source, offset, &mut *progress).await {
        Ok(()) => {}
        // The peer has made up its mind: its reply says how.
        Err(SendError::Stopped) => {}
        Err(SendError::Failed(error)) => return Err(error),
    }
    let status = read_status(limits.bulk_reply_timeout, &mut asking.recv).await?;
    read_reply(shared, status, &mut asking.recv).await
}

/// Asks a peer for data.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    from: NodeId,
    header: Bytes,
) -> Result<BulkReader, BulkError> {
    let limits = &shared.limits;
    let mut asking = ask(shared, from, FETCH, header).await?;
    let status = read_status(limits.bulk_reply_timeout, &mut asking.recv).await?;
    if status != OK {
        read_reply(shared, status, &mut asking.recv).await?;
    }
    let Asking {
        guard,
        mut send,
        mut recv,
        version,
    } = asking;
    let (start, description) = if version == 1 {
        let _ = send.finish();
        (Start::Unasked { skip: 0 }, Bytes::new())
    } else {
        let description = frame::read(&mut recv, MAX_BULK_HEADER_BYTES);
        let description = in_time(limits.bulk_stall_timeout, description).await?;
        (Start::Asked(send), description)
    };
    let length = read_number(limits.bulk_stall_timeout, &mut recv).await?;
    let reader = BulkReader::new(shared, from, recv, length, start);
    Ok(reader.fetched(description, guard))
}

async fn ask(shared: &Shared, to: NodeId, kind: u8, header: Bytes) -> Result<Asking, BulkError> {
    check_header("header", &header)?;
    let peer = shared.peer(to).ok_or(BulkError::UnknownPeer)?;
    let slots = Arc::clone(&shared.outbound_bulk_slots);
    let slot = slots
        .try_acquire_owned()
        .map_err(|_| BulkError::Busy("this node"))?;
    let (connection, greeted) =
        dial(shared, to, peer.addr(), ALPN_BULK)
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
    Ok(Asking {
        guard,
        send,
        recv,
        version: greeted.version,
    })
}

async fn read_status(limit: std::time::Duration, recv: &mut RecvStream) -> Result<u8, BulkError> {
    let mut status = [0];
    in_time(limit, recv.read_exact(&mut status)).await?;
    Ok(status[0])
}

/// A number as it stands before data: a length or an offset.
pub(super) async fn read_number(
    limit: std::time::Duration,
    recv: &mut RecvStream,
) -> Result<u64, BulkError> {
    let mut number = [0; 8];
    in_time(limit, recv.read_exact(&mut number)).await?;
    Ok(u64::from_le_bytes(number))
}

/// The frame that follows a final status.
async fn read_reply(
    shared: &Shared,
    status: u8,
    recv: &mut RecvStream,
) -> Result<Bytes, BulkError> {
    let reply = frame::read(recv, MAX_BULK_HEADER_BYTES);
    let reply = in_time(shared.limits.bulk_stall_timeout, reply).await?;
    judge(status, &reply)?;
    Ok(reply)
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
