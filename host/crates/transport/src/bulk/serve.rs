//! The answering side of a transfer.

use std::sync::Arc;

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::{RecvStream, SendStream};

use crate::frame;
use crate::inbound::Arrived;
use crate::limits::MAX_BULK_HEADER_BYTES;
use crate::shared::Shared;

use super::transfer::{SendError, check_header, send_data};
use super::{BUSY, BulkError, BulkReader, BulkSource, FETCH, OK, REFUSED, SEND, in_time, lost};

/// Takes the transfers of one connection until it ends. There is one, as a rule.
pub(crate) async fn serve_all(shared: &Arc<Shared>, peer: &Arrived) {
    let from = peer.node;
    while let Ok((mut send, recv)) = peer.connection.accept_bi().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            if let Err(error) = serve(&shared, from, &mut send, recv).await {
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
    from: NodeId,
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
            let mut length = [0; 8];
            in_time(limit, recv.read_exact(&mut length)).await?;
            let reader = BulkReader::new(shared, recv, u64::from_le_bytes(length), None);
            match shared.handler.bulk(from, header, reader).await {
                Ok(answer) => {
                    check_header("reply", &answer)?;
                    reply(shared, send, OK, answer).await
                }
                Err(reason) => refuse(shared, send, reason).await,
            }
        }
        FETCH => match shared.handler.bulk_fetch(from, header).await {
            Ok(source) => grant(shared, send, source).await,
            Err(reason) => refuse(shared, send, reason).await,
        },
        other => Err(lost(format!("unknown kind {other}"))),
    }
}

async fn grant(
    shared: &Shared,
    send: &mut SendStream,
    source: Box<dyn BulkSource>,
) -> Result<(), BulkError> {
    in_time(shared.limits.bulk_stall_timeout, send.write_all(&[OK])).await?;
    match send_data(shared, send, source, &mut |_| {}).await {
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
