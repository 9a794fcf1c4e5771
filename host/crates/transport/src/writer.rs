//! The tasks that empty a peer's lanes into the connection.

use std::sync::Arc;

use bytes::BytesMut;
use coracle_proto::Envelope;
use quinn::{Connection, SendStream, WriteError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::codec::{self, Saver};
use crate::frame::{self, PREFIX_BYTES};
use crate::lane::Lane;
use crate::limits::{APPEND_FRAME_BYTES, FLUSH_TIMEOUT, MAX_FRAME_BYTES};
use crate::peer::{Peer, lanes};
use crate::shared::Shared;

/// First byte of a lane's stream.
pub(crate) const STREAM_ENVELOPES: u8 = 1;

/// One task per lane. They end when the connection does, or flushed once `stop` says so.
pub(crate) fn spawn_all(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    connection: &Connection,
    version: u16,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for lane in lanes() {
        let (shared, peer) = (Arc::clone(shared), Arc::clone(peer));
        let (connection, stop) = (connection.clone(), stop.clone());
        writers.spawn(async move {
            let frames = Frames::new(&shared, &peer, version);
            if let Err(error) = write_lane(frames, lane, &connection, stop).await {
                // The connection's end is reported where it is waited for.
                tracing::debug!(%lane, "lane ended: {error}");
                connection.closed().await;
            }
        });
    }
    writers
}

/// Waits until all writers have flushed.
pub(crate) async fn flushed(mut writers: JoinSet<()>) {
    while writers.join_next().await.is_some() {}
}

async fn write_lane(
    mut frames: Frames<'_>,
    lane: Lane,
    connection: &Connection,
    mut stop: watch::Receiver<bool>,
) -> Result<(), WriteError> {
    let mut stream = connection.open_uni().await?;
    // Either fails only if the stream has ended, which the next write reports.
    let _ = stream.set_priority(priority(lane));
    stream.write_all(&[STREAM_ENVELOPES]).await?;
    let queue = frames.peer.queue(lane);
    let target = frame_target(lane);
    loop {
        let batch = tokio::select! {
            batch = queue.take(target) => batch,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        frames.write(&mut stream, &batch).await?;
    }
    let flush = async {
        loop {
            let batch = queue.take_now(target);
            if batch.is_empty() {
                break;
            }
            frames.write(&mut stream, &batch).await?;
        }
        stream.finish()?;
        // Ends when the peer has acknowledged everything, or the connection is gone.
        let _ = stream.stopped().await;
        Ok(())
    };
    tokio::time::timeout(FLUSH_TIMEOUT, flush)
        .await
        .unwrap_or(Ok(()))
}

/// Makes frames of one lane's batches.
struct Frames<'a> {
    shared: &'a Shared,
    peer: &'a Peer,
    version: u16,
    /// None if nothing is to be compressed.
    saver: Option<Saver>,
}

impl<'a> Frames<'a> {
    fn new(shared: &'a Shared, peer: &'a Peer, version: u16) -> Self {
        let compresses = shared.limits.compress && version > 1;
        Self {
            shared,
            peer,
            version,
            saver: compresses.then(Saver::default),
        }
    }

    async fn write(
        &mut self,
        stream: &mut SendStream,
        batch: &[Envelope],
    ) -> Result<(), WriteError> {
        let counters = &self.shared.counters;
        let size: usize = batch.iter().map(codec::weight).sum();
        let mut body = BytesMut::with_capacity(PREFIX_BYTES + codec::BATCH_OVERHEAD + size);
        body.extend_from_slice(&[0; PREFIX_BYTES]);
        let known = codec::encode_into(self.version, batch, &mut body);
        self.peer.counters.withheld.add(batch.len() - known);
        counters.envelopes_withheld.add(batch.len() - known);
        if known == 0 {
            return Ok(());
        }
        let mut frame = self.compressed(body);
        let prefix = frame::prefix(frame.len() - PREFIX_BYTES);
        frame[..PREFIX_BYTES].copy_from_slice(&prefix);
        let bytes = frame.len();
        stream.write_chunk(frame.freeze()).await?;
        counters.frames_sent.one();
        counters.envelopes_sent.add(known);
        counters.bytes_sent.add(bytes);
        Ok(())
    }

    /// The frame with its batch compressed, if that saves something.
    fn compressed(&mut self, frame: BytesMut) -> BytesMut {
        let Some(saver) = &mut self.saver else {
            return frame;
        };
        let mut packed = BytesMut::new();
        packed.extend_from_slice(&[0; PREFIX_BYTES]);
        if !saver.pack(&frame[PREFIX_BYTES..], &mut packed) {
            return frame;
        }
        let saved = frame.len() - packed.len();
        self.shared.counters.bytes_saved.add(saved);
        packed
    }
}

/// Everything that waits for the control lane goes out as one frame.
fn frame_target(lane: Lane) -> usize {
    match lane {
        Lane::Control => MAX_FRAME_BYTES,
        Lane::Append(_) => APPEND_FRAME_BYTES,
    }
}

fn priority(lane: Lane) -> i32 {
    match lane {
        Lane::Control => 20,
        Lane::Append(_) => 10,
    }
}
