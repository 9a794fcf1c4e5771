//! What the driver asks of the snapshot files.

use std::fmt;

use coracle_proto::{GroupId, LogId};

use crate::{Digest, SnapshotRef};

/// A part of a snapshot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Section {
    /// The session table.
    Sessions = 1,
    /// The state machine's own bytes.
    State = 2,
}

/// Snapshot files of this node.
pub trait Snapshots: Send + Sync + fmt::Debug {
    /// Begins a file; nothing under its final name until `finish`. `header` is an encoded
    /// `SnapshotHeader`.
    fn create(
        &self,
        group: GroupId,
        last: LogId,
        header: &[u8],
    ) -> Result<Box<dyn SnapshotWriter>, SnapshotError>;

    /// Opens the file this reference names, and checks its header and trailer.
    fn open(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError>;

    /// Opens an image: a snapshot file of any group that a user brought, by the digest in its
    /// trailer.
    fn open_image(&self, digest: &Digest) -> Result<Box<dyn SnapshotReader>, SnapshotError>;

    /// Begins to receive a file from a peer as raw bytes.
    fn receive(&self, group: GroupId) -> Result<Box<dyn SnapshotReceiver>, SnapshotError>;

    /// As `receive`, for a file whose name is known beforehand: what came of it before a connection
    /// broke is kept, and the answer says how many bytes that is. From the beginning, if nothing is
    /// kept or another receiver is at it.
    fn resume(
        &self,
        group: GroupId,
        last: LogId,
        digest: &Digest,
    ) -> Result<(Box<dyn SnapshotReceiver>, u64), SnapshotError> {
        let _ = (last, digest);
        Ok((self.receive(group)?, 0))
    }

    /// The group's newest complete file, if there is one.
    fn newest(&self, group: GroupId) -> Result<Option<(LogId, Digest)>, SnapshotError> {
        let _ = group;
        Ok(None)
    }

    /// Removes the group's files that are older than the newest named one and not named (all, if
    /// none is named), but for the `older` newest of those. A newer one is on its way to be named.
    fn retain(
        &self,
        group: GroupId,
        keep: &[SnapshotRef],
        older: usize,
    ) -> Result<(), SnapshotError>;

    /// Removes one file that was finished and turned out to be of no use.
    fn discard(&self, group: GroupId, snapshot: &SnapshotRef) -> Result<(), SnapshotError>;
}

/// A file being written: header, then sessions, then state, then the trailer.
pub trait SnapshotWriter: Send + fmt::Debug {
    /// Appends bytes to a section; sections in ascending order.
    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), SnapshotError>;
    /// Digest of the state section's bytes so far, for the outcome chain.
    fn state_digest(&self) -> Digest;
    /// Writes the trailer, syncs, renames, syncs the folder. Returns the digest in the trailer.
    fn finish(self: Box<Self>) -> Result<Digest, SnapshotError>;
}

/// A complete file. Every chunk's checksum is verified as it is read.
pub trait SnapshotReader: Send + fmt::Debug {
    /// The header as it was given.
    fn header(&self) -> &[u8];
    /// The next bytes of a section, at most `max`; empty at its end. Sections in ascending order;
    /// asking for a later one skips the rest of the earlier.
    fn read(&mut self, section: Section, max: usize) -> Result<Vec<u8>, SnapshotError>;
    /// Length of the whole file.
    fn file_len(&self) -> u64;
    /// Raw bytes of the file, to send it.
    fn read_raw(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), SnapshotError>;
}

/// A file on its way in.
pub trait SnapshotReceiver: Send + fmt::Debug {
    /// The next raw bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError>;
    /// Verifies the whole file, and that it is the one that was `offered` if any was; only then
    /// syncs and renames it. Returns its digest and its header.
    fn finish(
        self: Box<Self>,
        offered: Option<(LogId, Digest)>,
    ) -> Result<(Digest, Vec<u8>), SnapshotError>;
}

/// What can go wrong with a snapshot file.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed.
    #[error("snapshot: {context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("snapshot {file}: {reason}")]
    Damaged {
        /// Which file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// There is no such file.
    #[error("snapshot {file} does not exist")]
    Missing {
        /// Which file.
        file: String,
    },
}
