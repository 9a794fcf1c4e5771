//! Sessions and state on their way into a snapshot file and out of it.

use coracle_proto::GroupId;
use sha2::{Digest as _, Sha256};

use super::checkpoint::overflow;
use super::history::{Stop, Trouble};
use super::options::{CHUNK_BYTES, MAX_SESSION_RECORD_BYTES, WorkerContext};
use super::sessions::{Session, Sessions};
use super::{HeaderError, SnapshotHeader};
use crate::{
    Digest, Fault, Section, Sink, SnapshotError, SnapshotReader, SnapshotRef, SnapshotWriter,
    Source,
};

/// Why the session section of a snapshot cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SessionsError {
    /// A record that no reply is large enough for.
    #[error("a session claims {claimed} bytes, it may have {MAX_SESSION_RECORD_BYTES}")]
    TooLarge {
        /// As claimed.
        claimed: usize,
    },
    /// The bytes of a record are none.
    #[error("a session: {0}")]
    Malformed(#[from] postcard::Error),
    /// The last record is cut.
    #[error("{bytes} bytes after the last session")]
    Cut {
        /// How much there is of it.
        bytes: usize,
    },
}

/// Takes a guest's state into a file.
pub(super) struct StateSink<'a> {
    writer: &'a mut dyn SnapshotWriter,
    left: u64,
    /// Set when the guest wrote more than its limit.
    overflow: bool,
    /// What went wrong with the file, if it did.
    failed: Option<SnapshotError>,
}

impl<'a> StateSink<'a> {
    pub(super) fn new(writer: &'a mut dyn SnapshotWriter, limit: u64) -> Self {
        Self {
            writer,
            left: limit,
            overflow: false,
            failed: None,
        }
    }

    /// What has become of the guest's call, given what it says itself.
    pub(super) fn taken(self, saved: Result<(), Fault>) -> Result<(), Trouble> {
        if self.overflow {
            return Err(Trouble::Guest(overflow("snapshot")));
        }
        match self.failed {
            Some(error) => Err(Trouble::Stop(error.into())),
            None => saved.map_err(|fault| Trouble::of("snapshot", fault)),
        }
    }
}

impl Sink for StateSink<'_> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            self.overflow = true;
            return Err("larger than its limit".into());
        };
        self.left = left;
        self.writer.write(Section::State, chunk).map_err(|error| {
            let reason = error.to_string();
            self.failed = Some(error);
            reason
        })
    }
}

/// Gives a file's state to a guest, and digests it.
pub(super) struct StateSource {
    reader: Box<dyn SnapshotReader>,
    hasher: Sha256,
    /// What went wrong with the file, if it did.
    pub(super) failed: Option<SnapshotError>,
}

impl StateSource {
    pub(super) fn open(
        context: &WorkerContext,
        group: GroupId,
        snapshot: &SnapshotRef,
    ) -> Result<Self, Stop> {
        let reader = context
            .snapshots
            .open(group, snapshot.last, &snapshot.digest)?;
        Ok(Self {
            reader,
            hasher: Sha256::new(),
            failed: None,
        })
    }

    /// Digest of the whole state, of what the guest did not read as well.
    pub(super) fn finish(mut self) -> Result<Digest, Stop> {
        loop {
            match (self.read(CHUNK_BYTES), self.failed.take()) {
                (_, Some(error)) => return Err(error.into()),
                (Err(reason), None) => return Err(Stop::Host(reason)),
                (Ok(bytes), None) if bytes.is_empty() => break,
                (Ok(_), None) => {}
            }
        }
        Ok(Digest(self.hasher.finalize().into()))
    }
}

impl Source for StateSource {
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String> {
        let bytes = self.reader.read(Section::State, max).map_err(|error| {
            let reason = error.to_string();
            self.failed = Some(error);
            reason
        })?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

/// Writes the session section: per session a length (u32, little-endian) and postcard.
pub(super) fn write_sessions(
    writer: &mut dyn SnapshotWriter,
    sessions: &Sessions,
) -> Result<(), Stop> {
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    for session in sessions.iter() {
        let record = postcard::to_stdvec(session).expect("invariant: plain data encodes");
        buffer.extend((record.len() as u32).to_le_bytes());
        buffer.extend(record);
        if buffer.len() >= CHUNK_BYTES {
            writer.write(Section::Sessions, &buffer)?;
            buffer.clear();
        }
    }
    if !buffer.is_empty() {
        writer.write(Section::Sessions, &buffer)?;
    }
    Ok(())
}

/// Reads header and sessions of a snapshot.
pub(super) fn read_header(
    context: &WorkerContext,
    group: GroupId,
    snapshot: &SnapshotRef,
) -> Result<(SnapshotHeader, Sessions), Stop> {
    let mut reader = context
        .snapshots
        .open(group, snapshot.last, &snapshot.digest)?;
    let damaged = |reason: String| Stop::Gone(format!("snapshot {}: {reason}", snapshot.last));
    let header = SnapshotHeader::decode(reader.header())
        .map_err(|error: HeaderError| damaged(error.to_string()))?;
    if header.group != group || header.last != snapshot.last {
        let reason = format!("is of {} at {}, not of {group}", header.group, header.last);
        return Err(damaged(reason));
    }
    let sessions = read_sessions(reader.as_mut())?.map_err(|error| damaged(error.to_string()))?;
    if sessions.len() as u64 != header.sessions.commands {
        let reason = format!(
            "{} sessions, its header says {}",
            sessions.len(),
            header.sessions.commands
        );
        return Err(damaged(reason));
    }
    Ok((header, sessions))
}

pub(super) fn read_sessions(
    reader: &mut dyn SnapshotReader,
) -> Result<Result<Sessions, SessionsError>, Stop> {
    let mut sessions = Sessions::default();
    let mut buffer = Vec::new();
    loop {
        let chunk = reader.read(Section::Sessions, CHUNK_BYTES)?;
        let end = chunk.is_empty();
        buffer.extend(chunk);
        let used = match take_sessions(&buffer, &mut sessions) {
            Ok(used) => used,
            Err(error) => return Ok(Err(error)),
        };
        buffer.drain(..used);
        if end {
            break;
        }
    }
    Ok(match buffer.len() {
        0 => Ok(sessions),
        bytes => Err(SessionsError::Cut { bytes }),
    })
}

/// Decodes the complete records at the front; returns how many bytes they took.
fn take_sessions(buffer: &[u8], sessions: &mut Sessions) -> Result<usize, SessionsError> {
    let mut rest = buffer;
    while let Some((len, after)) = rest.split_first_chunk() {
        let claimed = u32::from_le_bytes(*len) as usize;
        if claimed > MAX_SESSION_RECORD_BYTES {
            return Err(SessionsError::TooLarge { claimed });
        }
        let Some((record, after)) = after.split_at_checked(claimed) else {
            break;
        };
        let session: Session = postcard::from_bytes(record)?;
        sessions.insert(session);
        rest = after;
    }
    Ok(buffer.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section that begins with these bytes and never ends.
    #[derive(Debug)]
    struct Endless {
        begin: Vec<u8>,
        given: usize,
    }

    impl SnapshotReader for Endless {
        fn header(&self) -> &[u8] {
            &[]
        }

        fn read(&mut self, _: Section, max: usize) -> Result<Vec<u8>, SnapshotError> {
            assert!(self.given <= MAX_SESSION_RECORD_BYTES, "it goes on reading");
            let mut bytes = std::mem::take(&mut self.begin);
            bytes.resize(max, 0);
            self.given += max;
            Ok(bytes)
        }

        fn file_len(&self) -> u64 {
            u64::MAX
        }

        fn read_raw(&mut self, _: u64, _: &mut [u8]) -> Result<(), SnapshotError> {
            Ok(())
        }
    }

    #[test]
    fn a_session_larger_than_any_reply_is_refused_before_it_is_read() {
        let claimed = MAX_SESSION_RECORD_BYTES + 1;
        let mut reader = Endless {
            begin: (claimed as u32).to_le_bytes().to_vec(),
            given: 0,
        };

        let read = read_sessions(&mut reader).ok();

        assert_eq!(read, Some(Err(SessionsError::TooLarge { claimed })));
        assert_eq!(reader.given, CHUNK_BYTES);
    }
}
