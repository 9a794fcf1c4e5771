//! How a snapshot's bytes cross from the guest's thread to the caller's.
//!
//! Imports may only use what the store owns, but sinks and sources are borrowed from the caller.
//! So a call that needs one runs on a thread of its own (which then has the stack that guests
//! need), and the caller serves it until it returns.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::engine::STACK_BYTES;
use crate::fault::{Fault, HostError};

/// Chunks on their way to a sink.
const CHUNKS_IN_FLIGHT: usize = 4;

/// Where a snapshot goes.
pub trait Sink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The host's fault; ends the snapshot.
    fn write(&mut self, chunk: &[u8]) -> Result<(), String>;
}

/// Where a restore comes from.
pub trait Source {
    /// At most `max` of the next bytes; empty at the end.
    ///
    /// # Errors
    /// The host's fault; ends the restore.
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String>;
}

/// The guest's end of a sink.
#[derive(Debug)]
pub(crate) struct SinkPort {
    chunks: SyncSender<Vec<u8>>,
    left: u64,
}

impl SinkPort {
    /// Hands a chunk over; false if it does not fit into the snapshot's limit.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<bool, HostError> {
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            return Ok(false);
        };
        self.left = left;
        let gone = |_| HostError("the snapshot's sink failed".into());
        self.chunks.send(chunk.to_vec()).map_err(gone)?;
        Ok(true)
    }
}

/// The guest's end of a source.
#[derive(Debug)]
pub(crate) struct SourcePort {
    requests: SyncSender<usize>,
    chunks: Receiver<Vec<u8>>,
}

impl SourcePort {
    /// Exactly `len` bytes unless the source ends before.
    pub(crate) fn read(&mut self, len: usize) -> Result<Vec<u8>, HostError> {
        let gone = || HostError("the snapshot's source failed".into());
        self.requests.send(len).map_err(|_| gone())?;
        self.chunks.recv().map_err(|_| gone())
    }
}

/// Runs `call` on a thread of its own while this thread feeds `sink`. The port is gone when the
/// call is over, for the call consumes it.
pub(crate) fn with_sink<T: Send>(
    sink: &mut dyn Sink,
    limit: u64,
    call: impl FnOnce(SinkPort) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    let (chunks, arriving) = sync_channel(CHUNKS_IN_FLIGHT);
    let port = SinkPort {
        chunks,
        left: limit,
    };
    beside(
        move || call(port),
        move || {
            arriving
                .iter()
                .try_for_each(|chunk: Vec<u8>| sink.write(&chunk))
        },
    )
}

/// Runs `call` on a thread of its own while this thread reads for it from `source`.
pub(crate) fn with_source<T: Send>(
    source: &mut dyn Source,
    call: impl FnOnce(SourcePort) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    let (requests, asked) = sync_channel(1);
    let (sender, chunks) = sync_channel(1);
    let port = SourcePort { requests, chunks };
    beside(
        move || call(port),
        move || {
            for len in asked {
                if sender.send(read_full(source, len)?).is_err() {
                    break;
                }
            }
            Ok(())
        },
    )
}

/// Reads until `len` bytes are there or the source is at its end: where a file's chunks end must
/// not show in the guest, whose allocations would differ from replica to replica.
fn read_full(source: &mut dyn Source, len: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let wanted = len - bytes.len();
        let mut part = source.read(wanted)?;
        if part.len() > wanted {
            return Err(format!(
                "source gave {} bytes instead of {wanted}",
                part.len()
            ));
        }
        if part.is_empty() {
            break;
        }
        bytes.append(&mut part);
    }
    Ok(bytes)
}

/// A failure of the server explains the call's, so it comes first.
fn beside<T: Send>(
    call: impl FnOnce() -> Result<T, Fault> + Send,
    serve: impl FnOnce() -> Result<(), String>,
) -> Result<T, Fault> {
    thread::scope(|scope| {
        let guest = thread::Builder::new()
            .name("coracle-state".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, call)
            .map_err(|error| Fault::Host(format!("cannot start a thread: {error}")))?;
        let served = serve();
        let result = guest
            .join()
            .map_err(|_| Fault::Host("a guest call panicked".into()))?;
        served.map_err(Fault::Host)?;
        result
    })
}
