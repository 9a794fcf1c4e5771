//! Writing a snapshot file.

use std::path::PathBuf;
use std::sync::Arc;

use coracle_driver::{Digest, File, Section, SnapshotError, SnapshotWriter};
use sha2::{Digest as _, Sha256};

use crate::snapshot_files::Folder;
use crate::snapshot_format::{
    ChunkHead, Head, MAX_CHUNK_BYTES, TRAILER_BYTES, encode_trailer, io_error,
};

/// A file being written under a temporary name.
#[derive(Debug)]
pub(crate) struct FileWriter {
    temporary: Temporary,
    head: Head,
    len: u64,
    digest: Sha256,
    state_digest: Sha256,
    section: Section,
    /// The chunk being filled.
    chunk: Vec<u8>,
}

/// A file that goes away again unless it is given its name.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) folder: Arc<Folder>,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
    /// For messages.
    pub(crate) name: String,
    fate: Fate,
}

/// What becomes of a temporary file that is let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Removed,
    /// It is kept to be gone on with.
    Kept,
    Published,
}

impl Temporary {
    pub(crate) fn create(folder: Arc<Folder>, path: PathBuf) -> Result<Self, SnapshotError> {
        let name = path.display().to_string();
        let file = folder
            .disk
            .open(&path, true)
            .map_err(io_error("creating", &name))?;
        Ok(Self {
            folder,
            path,
            file,
            name,
            fate: Fate::Removed,
        })
    }

    /// Opens one that is kept if it is let go of early; only its owner, who has noted its path with
    /// the folder, may be at it.
    pub(crate) fn resume(folder: Arc<Folder>, path: PathBuf) -> Result<Self, SnapshotError> {
        let mut temporary = Self::create(folder, path)?;
        temporary.fate = Fate::Kept;
        Ok(temporary)
    }

    /// It is of no use: it goes away in any case.
    pub(crate) fn discard(&mut self) {
        self.fate = Fate::Removed;
    }

    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.file
            .write_at(at, bytes)
            .map_err(io_error("writing", &self.name))
    }

    pub(crate) fn publish(mut self, head: &Head, digest: &Digest) -> Result<(), SnapshotError> {
        self.file.sync().map_err(io_error("syncing", &self.name))?;
        self.folder.publish(&self.path, head, digest)?;
        self.fate = Fate::Published;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.fate == Fate::Removed {
            // What cannot be removed now is removed at the next start.
            let _ = self.folder.disk.remove(&self.path);
        }
        // Not before: who comes next must not meet what is being removed.
        self.folder.partials().remove(&self.path);
    }
}

impl FileWriter {
    pub(crate) fn create(
        folder: Arc<Folder>,
        path: PathBuf,
        head: Head,
    ) -> Result<Self, SnapshotError> {
        let mut writer = Self {
            temporary: Temporary::create(folder, path)?,
            len: 0,
            digest: Sha256::new(),
            state_digest: Sha256::new(),
            section: Section::Sessions,
            chunk: Vec::with_capacity(MAX_CHUNK_BYTES),
            head,
        };
        let head = writer.head.encode();
        writer.put(&head)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.temporary.write(self.len, bytes)?;
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut bytes = ChunkHead::of(self.section, &self.chunk).encode().to_vec();
        bytes.append(&mut self.chunk);
        self.put(&bytes)
    }
}

impl SnapshotWriter for FileWriter {
    fn write(&mut self, section: Section, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        if (section as u8) < self.section as u8 {
            return Err(SnapshotError::Damaged {
                file: self.temporary.name.clone(),
                reason: format!("{section:?} was written after {:?}", self.section),
            });
        }
        if section != self.section {
            self.flush()?;
            self.section = section;
        }
        if section == Section::State {
            self.state_digest.update(bytes);
        }
        while !bytes.is_empty() {
            let room = MAX_CHUNK_BYTES - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == MAX_CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn state_digest(&self) -> Digest {
        Digest(self.state_digest.clone().finalize().into())
    }

    fn finish(mut self: Box<Self>) -> Result<Digest, SnapshotError> {
        self.flush()?;
        let digest = Digest(self.digest.clone().finalize().into());
        let trailer = encode_trailer(self.len + TRAILER_BYTES as u64, &digest);
        self.temporary.write(self.len, &trailer)?;
        self.temporary.publish(&self.head, &digest)?;
        Ok(digest)
    }
}
