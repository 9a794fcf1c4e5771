//! The answering side of a join.

use std::sync::Mutex;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::frame::{self, FrameError};
use crate::limits::{
    JOIN_ANSWER_TIMEOUT, JOIN_BURST, JOIN_INTERVAL, JOIN_LINGER, JOIN_READ_TIMEOUT,
    MAX_INBOUND_JOINS, MAX_JOIN_BYTES,
};
use crate::quic::{self, close};
use crate::shared::Shared;

use super::{ANSWERED, BUSY, NOT_HERE, exporter};

/// How many may join, at once and over time.
#[derive(Debug)]
pub(crate) struct Joins {
    slots: Semaphore,
    /// When all of the burst is available again.
    full_at: Mutex<Option<Instant>>,
}

impl Joins {
    pub(crate) fn new() -> Self {
        Self {
            slots: Semaphore::new(MAX_INBOUND_JOINS),
            full_at: Mutex::default(),
        }
    }

    /// Takes one of the burst; it grows back over time.
    fn admit(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().expect("no panic under the lock");
        let next = full_at.map_or(now, |at| at.max(now)) + JOIN_INTERVAL;
        let room = next - now <= JOIN_INTERVAL * JOIN_BURST;
        if room {
            *full_at = Some(next);
        }
        room
    }
}

/// Why a join got no answer.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("reply: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("no request within {JOIN_READ_TIMEOUT:?}")]
    Slow,
    #[error("not answered within {JOIN_ANSWER_TIMEOUT:?}")]
    Unanswered,
    #[error("reply of {0} bytes is above the limit of {MAX_JOIN_BYTES}")]
    ReplyTooLarge(usize),
    #[error("no secret could be derived from the connection")]
    Exporter,
    #[error("too many")]
    Busy,
    #[error("nobody can join here")]
    NotHere,
}

/// Answers one join and closes the connection.
pub(crate) async fn serve(shared: &Shared, connection: &Connection) {
    let remote = connection.remote_address();
    match answer(shared, connection).await {
        Ok(()) => {
            shared.counters.joins_served.one();
            quic::close_connection(connection, close::DONE, "done");
        }
        Err(error) => {
            shared.counters.joins_refused.one();
            tracing::warn!(%remote, "join refused: {error}");
            quic::close_connection(connection, close::REFUSED, &error.to_string());
        }
    }
}

async fn answer(shared: &Shared, connection: &Connection) -> Result<(), ServeError> {
    let accepted = timeout(JOIN_READ_TIMEOUT, connection.accept_bi()).await;
    let (mut send, mut recv) = accepted.map_err(|_| ServeError::Slow)??;
    let slot = shared.joins.slots.try_acquire();
    if slot.is_err() || !shared.joins.admit(Instant::now()) {
        reply(&mut send, BUSY, None).await?;
        return Err(ServeError::Busy);
    }
    let request = read(&mut recv).await?;
    let secret = exporter(connection).ok_or(ServeError::Exporter)?;
    let answer = shared.handler.join(request, secret);
    let answer = timeout(JOIN_ANSWER_TIMEOUT, answer)
        .await
        .map_err(|_| ServeError::Unanswered)?;
    if answer.is_empty() {
        reply(&mut send, NOT_HERE, None).await?;
        return Err(ServeError::NotHere);
    }
    if answer.len() > MAX_JOIN_BYTES {
        return Err(ServeError::ReplyTooLarge(answer.len()));
    }
    reply(&mut send, ANSWERED, Some(answer)).await
}

async fn read(recv: &mut RecvStream) -> Result<Bytes, ServeError> {
    let request = timeout(JOIN_READ_TIMEOUT, frame::read(recv, MAX_JOIN_BYTES)).await;
    Ok(request.map_err(|_| ServeError::Slow)??)
}

/// Says it, and waits until it was heard: closing the connection would take it back.
async fn reply(send: &mut SendStream, status: u8, body: Option<Bytes>) -> Result<(), ServeError> {
    let say = async {
        send.write_all(&[status]).await?;
        if let Some(body) = body {
            frame::write(send, body).await?;
        }
        let _ = send.finish();
        let _ = send.stopped().await;
        Ok(())
    };
    timeout(JOIN_LINGER, say).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_one_is_admitted_per_interval() {
        let joins = Joins::new();
        let now = Instant::now();
        for _ in 0..JOIN_BURST {
            assert!(joins.admit(now));
        }
        assert!(!joins.admit(now));
        assert!(joins.admit(now + JOIN_INTERVAL));
        assert!(!joins.admit(now + JOIN_INTERVAL));
        let later = now + JOIN_INTERVAL * (2 * JOIN_BURST);
        for _ in 0..JOIN_BURST {
            assert!(joins.admit(later));
        }
        assert!(!joins.admit(later));
    }
}
