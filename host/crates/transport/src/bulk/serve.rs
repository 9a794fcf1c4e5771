//! The answering side of a transfer.

use std::sync::Arc;

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;

use crate::frame;
use crate::inbound::Arrived;
use crate::limits::MAX_BULK_HEADER_BYTES;
use crate::shared::Shared;

use super::asking::{check_header, read_number};
use super::data::{SendError, Sending};
use super::reader::Start;
use super::{BUSY, BulkError, BulkReader, BulkSource, FETCH, GO, OK, REFUSED, SEND, in_time, lost};
use crate::mutant::mutant;

/// Takes the transfers of one connection until it ends. There is one, as a rule.
pub(crate) async fn serve_all(shared: &Arc<Shared>, peer: &Arrived) {
    let (from, version) = (peer.node, peer.greeted.version);
    while let Ok((mut send, recv)) = peer.connection.accept_bi().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let peer = (from, version);
            if let Err(error) = serve(&shared, peer, &mut send, recv).await {
                tracing::warn!(peer = %from, "bulk transfer failed: {error}");
            }
            // The asking side closes the connection once it has read everything.
            let _ = send.finish();
            let _ = send.stopped().await;
        });
    }
}

async fn serve(
    shared: &Arc<Shared>,
    (from, version): (NodeId, u16),
    send: &mut SendStream,
    mut recv: RecvStream,
) -> Result<(), BulkError> {
    let limit = shared.limits.bulk_stall_timeout;
    let mut kind = [0];
    in_time(limit, recv.read_exact(&mut kind)).await?;
    let header = in_time(limit, frame::read(&mut recv, MAX_BULK_HEADER_BYTES)).await?;
    let Ok(_slot) = shared.inbound_bulk_slots.try_acquire() else {
        return reply(shared, send, BUSY, Bytes::new()).await;
    };
    match kind[0] {
        SEND => {
            let length = read_number(limit, &mut recv).await?;
            let (start, accepted) = start(version);
            let reader = BulkReader::new(shared, from, recv, length, start);
            let mut answer = shared.handler.bulk(from, header, reader);
            let answer = tokio::select! {
                biased;
                answer = &mut answer => answer,
                Ok(offset) = accepted => {
                    let go = [&[GO][..], &offset.to_le_bytes()].concat();
                    in_time(limit, send.write_all(&go)).await?;
                    answer.await
                }
            };
            match answer {
                Ok(answer) => {
                    check_header("reply", &answer)?;
                    reply(shared, send, OK, answer).await
                }
                Err(reason) => refuse(shared, send, reason).await,
            }
        }
        FETCH => match shared.handler.bulk_fetch(from, header).await {
            Ok(source) => grant(shared, (from, version), send, recv, source).await,
            Err(reason) => refuse(shared, send, reason).await,
        },
        other => Err(lost(format!("unknown kind {other}"))),
    }
}

/// How the sender of data learns where to begin, and what tells it.
fn start(version: u16) -> (Start, oneshot::Receiver<u64>) {
    let (answer, accepted) = oneshot::channel();
    match version {
        1 => (Start::Unasked { skip: 0 }, accepted),
        _ => (Start::Answered(answer), accepted),
    }
}

async fn grant(
    shared: &Shared,
    (from, version): (NodeId, u16),
    send: &mut SendStream,
    mut recv: RecvStream,
    source: Box<dyn BulkSource>,
) -> Result<(), BulkError> {
    let limit = shared.limits.bulk_stall_timeout;
    let length = source.length();
    in_time(limit, send.write_all(&[OK])).await?;
    if version > 1 {
        let description = source.description();
        check_header("description", &description)?;
        in_time(limit, frame::write(send, description)).await?;
    }
    in_time(limit, send.write_all(&length.to_le_bytes())).await?;
    let offset = match version {
        1 => 0,
        _ => read_number(shared.limits.bulk_reply_timeout, &mut recv).await?,
    };
    let offset = if mutant!(BulkOffsetIgnored) {
        0
    } else {
        offset
    };
    if offset > length {
        return Err(lost(format!("asked to go on from {offset}, past the end")));
    }
    let sending = Sending::new(shared, from, version, send);
    match sending.run(source, offset, &mut |_| {}).await {
        Ok(()) => Ok(()),
        Err(SendError::Stopped) => Err(lost("the asking side wants no more")),
        Err(SendError::Failed(error)) => Err(error),
    }
}

async fn refuse(shared: &Shared, send: &mut SendStream, reason: String) -> Result<(), BulkError> {
    let end = reason.floor_char_boundary(MAX_BULK_HEADER_BYTES);
    let reason = Bytes::copy_from_slice(&reason.as_bytes()[..end]);
    reply(shared, send, REFUSED, reason).await
}

async fn reply(
    shared: &Shared,
    send: &mut SendStream,
    status: u8,
    body: Bytes,
) -> Result<(), BulkError> {
    let limit = shared.limits.bulk_stall_timeout;
    in_time(limit, send.write_all(&[status])).await?;
    in_time(limit, frame::write(send, body)).await
}
