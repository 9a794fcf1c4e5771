//! Reading a snapshot file.

use std::io;
use std::path::Path;

use coracle_driver::{Digest, Disk, File, Section, SnapshotError, SnapshotReader};
use coracle_proto::{GroupId, LogId};
use sha2::{Digest as _, Sha256};

use crate::fields::Malformed;
use crate::snapshot_format::{
    CHUNK_HEADER_BYTES, ChunkHead, HEADER_START_BYTES, Head, TRAILER_BYTES, damaged,
    decode_trailer, io_error,
};

/// A file whose header and trailer are sound.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Box<dyn File>,
    name: String,
    head: Head,
    file_len: u64,
    /// Where the next chunk begins, and where the trailer does.
    at: u64,
    end: u64,
    /// The chunk being read, and how much of it was.
    section: Section,
    chunk: Vec<u8>,
    taken: usize,
}

impl FileReader {
    /// Opens a file; also returns the digest in its trailer.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<(Self, Digest), SnapshotError> {
        let name = path.display().to_string();
        match disk.open(path, false) {
            Ok(file) => Self::new(file, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SnapshotError::Missing { file: name })
            }
            Err(error) => Err(io_error("opening", &name)(error)),
        }
    }

    pub(crate) fn new(file: Box<dyn File>, name: String) -> Result<(Self, Digest), SnapshotError> {
        let file_len = file.len().map_err(io_error("opening", &name))?;
        let end = file_len.saturating_sub(TRAILER_BYTES as u64);
        let mut reader = Self {
            file,
            name,
            head: Head {
                group: GroupId(0),
                last: LogId::default(),
                header: Vec::new(),
            },
            file_len,
            at: 0,
            end,
            section: Section::Sessions,
            chunk: Vec::new(),
            taken: 0,
        };
        let mut trailer = [0; TRAILER_BYTES];
        reader.fill(end, &mut trailer)?;
        let digest = decode_trailer(&trailer, file_len).map_err(damaged(&reader.name))?;
        reader.read_head()?;
        Ok((reader, digest))
    }

    fn read_head(&mut self) -> Result<(), SnapshotError> {
        let mut start = [0; HEADER_START_BYTES];
        self.fill(0, &mut start)?;
        let len = Head::encoded_len(&start).map_err(damaged(&self.name))?;
        if len as u64 > self.end {
            return Err(self.damaged("its header does not fit into it"));
        }
        let mut bytes = vec![0; len];
        self.fill(0, &mut bytes)?;
        self.head = Head::decode(&bytes).map_err(damaged(&self.name))?;
        self.at = len as u64;
        Ok(())
    }

    pub(crate) fn group(&self) -> GroupId {
        self.head.group
    }

    pub(crate) fn last(&self) -> LogId {
        self.head.last
    }

    pub(crate) fn into_head(self) -> Head {
        self.head
    }

    /// Reads the whole file: every chunk's checksum, and the digest of everything.
    pub(crate) fn verify(&mut self, digest: &Digest) -> Result<(), SnapshotError> {
        let mut hasher = Sha256::new();
        hasher.update(self.head.encode());
        let mut section = Section::Sessions;
        while let Some(chunk) = self.next_chunk()? {
            if (chunk.section as u8) < section as u8 {
                return Err(self.damaged("its sections are out of order"));
            }
            section = chunk.section;
            hasher.update(chunk.encode());
            hasher.update(&self.chunk);
        }
        match hasher.finalize().as_slice() == digest.0 {
            true => Ok(()),
            false => Err(self.damaged("its digest does not match")),
        }
    }

    /// Loads the next chunk; `None` at the trailer.
    fn next_chunk(&mut self) -> Result<Option<ChunkHead>, SnapshotError> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let body = self.at + CHUNK_HEADER_BYTES as u64;
        if body > self.end {
            return Err(self.damaged("its last chunk is cut off"));
        }
        self.fill(self.at, &mut bytes)?;
        let chunk = ChunkHead::decode(&bytes).map_err(damaged(&self.name))?;
        let next = body + chunk.len as u64;
        if next > self.end {
            return Err(self.damaged("its last chunk is cut off"));
        }
        let mut bytes = std::mem::take(&mut self.chunk);
        bytes.resize(chunk.len, 0);
        self.fill(body, &mut bytes)?;
        chunk.verify(&bytes).map_err(damaged(&self.name))?;
        (self.chunk, self.taken) = (bytes, 0);
        (self.section, self.at) = (chunk.section, next);
        Ok(Some(chunk))
    }

    /// An end of file where the trailer promised bytes is damage, not an error of the disk.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SnapshotError> {
        match self.file.read_at(offset, buffer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it ends too early"))
            }
            Err(error) => Err(io_error("reading", &self.name)(error)),
        }
    }

    fn damaged(&self, reason: &'static str) -> SnapshotError {
        damaged(&self.name)(Malformed(reason))
    }
}

impl SnapshotReader for FileReader {
    fn header(&self) -> &[u8] {
        &self.head.header
    }

    fn read(&mut self, section: Section, max: usize) -> Result<Vec<u8>, SnapshotError> {
        loop {
            let here = self.section as u8;
            if here > section as u8 {
                return Ok(Vec::new());
            }
            if self.section == section && self.taken < self.chunk.len() {
                break;
            }
            if self.next_chunk()?.is_none() {
                return Ok(Vec::new());
            }
        }
        let len = max.min(self.chunk.len() - self.taken);
        let bytes = self.chunk[self.taken..self.taken + len].to_vec();
        self.taken += len;
        Ok(bytes)
    }

    fn file_len(&self) -> u64 {
        self.file_len
    }

    fn read_raw(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), SnapshotError> {
        self.fill(offset, buffer)
    }
}
