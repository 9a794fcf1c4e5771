//! Requests to a peer, for forwarding: one stream each, answered on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::NodeId;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::frame::{self, FrameError};
use crate::limits::{MAX_REQUEST_BYTES, REQUEST_READ_TIMEOUT};
use crate::shared::Shared;

const ANSWERED: u8 = 0;
const BUSY: u8 = 1;

/// Code of a stream that its sender gave up.
const GIVEN_UP: VarInt = VarInt::from_u32(1);

/// What became of a request that has no reply. The two variants are the whole point: after one
/// the caller may try elsewhere, after the other it may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The peer has certainly not handled it, and will not.
    #[error("request not sent: {reason}")]
    NotSent {
        /// Why.
        reason: String,
    },
    /// The peer may have handled it, or may do so yet.
    #[error("request sent, no reply: {reason}")]
    Unknown {
        /// What happened instead of a reply.
        reason: String,
    },
}

fn not_sent(reason: impl ToString) -> RequestError {
    RequestError::NotSent {
        reason: reason.to_string(),
    }
}

fn unknown(reason: impl ToString) -> RequestError {
    RequestError::Unknown {
        reason: reason.to_string(),
    }
}

/// Sends a request and waits for its reply.
pub(crate) async fn request(
    shared: &Shared,
    to: NodeId,
    body: Bytes,
    limit: Duration,
) -> Result<Bytes, RequestError> {
    let deadline = Instant::now() + limit;
    if body.len() > MAX_REQUEST_BYTES {
        let length = body.len();
        let limit = MAX_REQUEST_BYTES;
        return Err(not_sent(FrameError::TooLarge { length, limit }));
    }
    let peer = shared.peer(to).ok_or_else(|| not_sent("unknown peer"))?;
    let connection = peer
        .connection()
        .ok_or_else(|| not_sent(format!("{to} is not connected")))?;
    let (mut send, mut recv) = timeout_at(deadline, connection.open_bi())
        .await
        .map_err(|_| not_sent("timed out waiting for a stream"))?
        .map_err(not_sent)?;
    // The peer handles complete bodies only. As long as some of it has not left our hands, here
    // because writing failed or never ended, it is certain that the peer has not seen all.
    match timeout_at(deadline, frame::write(&mut send, body)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(not_sent(error)),
        Err(_) => {
            let _ = send.reset(GIVEN_UP);
            return Err(not_sent("timed out while sending"));
        }
    }
    let _ = send.finish();
    timeout_at(deadline, read_reply(&mut recv))
        .await
        .map_err(|_| unknown(format!("timed out after {limit:?}")))?
}

async fn read_reply(recv: &mut RecvStream) -> Result<Bytes, RequestError> {
    let mut status = [0];
    recv.read_exact(&mut status).await.map_err(unknown)?;
    match status[0] {
        ANSWERED => frame::read(recv, MAX_REQUEST_BYTES).await.map_err(unknown),
        BUSY => Err(not_sent("peer is busy with other requests")),
        other => Err(unknown(format!("reply has unknown status {other}"))),
    }
}

/// Takes a peer's requests until its connection ends.
pub(crate) async fn serve_all(shared: &Arc<Shared>, from: NodeId, connection: &Connection) {
    while let Ok((send, recv)) = connection.accept_bi().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            if let Err(error) = serve(&shared, from, send, recv).await {
                tracing::debug!(peer = %from, "request dropped: {error}");
            }
        });
    }
}

/// Why a request got no reply.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("body did not arrive within {REQUEST_READ_TIMEOUT:?}")]
    Slow,
    #[error("reply: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("reply of {length} bytes is above the limit of {MAX_REQUEST_BYTES}")]
    ReplyTooLarge { length: usize },
}

async fn serve(
    shared: &Shared,
    from: NodeId,
    mut send: SendStream,
    mut recv: RecvStream,
) -> Result<(), ServeError> {
    let Ok(_slot) = shared.request_slots.try_acquire() else {
        shared.counters.requests_refused.one();
        send.write_all(&[BUSY]).await?;
        return Ok(());
    };
    let read = async {
        let length = frame::read_length(&mut recv, MAX_REQUEST_BYTES).await?;
        let permits = u32::try_from(length).expect("limited above");
        let memory = shared.request_bytes.acquire_many(permits).await;
        let body = frame::read_body(&mut recv, length).await?;
        Ok::<_, FrameError>((memory, body))
    };
    let (_memory, body) = timeout(REQUEST_READ_TIMEOUT, read)
        .await
        .map_err(|_| ServeError::Slow)??;
    let reply = shared.handler.request(from, body).await;
    shared.counters.requests_served.one();
    if reply.len() > MAX_REQUEST_BYTES {
        let length = reply.len();
        let _ = send.reset(GIVEN_UP);
        return Err(ServeError::ReplyTooLarge { length });
    }
    send.write_all(&[ANSWERED]).await?;
    frame::write(&mut send, reply).await?;
    Ok(())
}
