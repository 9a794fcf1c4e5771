//! How a snapshot file looks.
//!
//! Little-endian. Header: magic, `u32` format, `u64` group, `u64` term, `u64` index, `u32` length,
//! the caller's header, `u32` CRC-32C of all that. Chunks: `u8` section, `u32` length, `u32`
//! CRC-32C of section, length and bytes, then the bytes. Trailer: `u8` 0, `u64` length of the
//! whole file, SHA-256 of everything before the trailer, `u32` CRC-32C of the trailer.

use coracle_driver::{Digest, Section, SnapshotError};
use coracle_proto::{GroupId, LogId};

use crate::fields::{Fields, Malformed, put_log_id};

const MAGIC: [u8; 8] = *b"coracles";
const FORMAT: u32 = 1;

/// Bytes before the caller's header.
pub(crate) const HEADER_START_BYTES: usize = 8 + 4 + 8 + 16 + 4;

/// The caller's header, at most.
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024 * 1024;

/// Bytes before a chunk's own.
pub(crate) const CHUNK_HEADER_BYTES: usize = 1 + 4 + 4;

/// Bytes in a chunk, at most; what a reader of one holds in memory.
pub(crate) const MAX_CHUNK_BYTES: usize = 64 * 1024;

pub(crate) const TRAILER_BYTES: usize = 1 + 8 + 32 + 4;

const TRAILER_TAG: u8 = 0;

/// The start of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) group: GroupId,
    pub(crate) last: LogId,
    pub(crate) header: Vec<u8>,
}

/// A chunk's own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) section: Section,
    pub(crate) len: usize,
    checksum: u32,
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.group.0.to_le_bytes());
        put_log_id(&mut out, self.last);
        out.extend_from_slice(&(self.header.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// From the first [`HEADER_START_BYTES`]: how long the whole header is, checksum included.
    pub(crate) fn encoded_len(start: &[u8; HEADER_START_BYTES]) -> Result<usize, Malformed> {
        let mut fields = Fields(start);
        if fields.array()? != MAGIC {
            return Err(Malformed("it is no snapshot file"));
        }
        if fields.u32()? != FORMAT {
            return Err(Malformed("its format is not known to this version"));
        }
        fields.bytes(8 + 16)?;
        let len = fields.u32()? as usize;
        if len > MAX_HEADER_BYTES {
            return Err(Malformed("its header is too long"));
        }
        Ok(HEADER_START_BYTES + len + 4)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let covered = bytes.len().checked_sub(4).map(|len| bytes.split_at(len));
        let (covered, checksum) = covered.ok_or(Malformed("it ends too early"))?;
        if checksum != crc32c::crc32c(covered).to_le_bytes() {
            return Err(Malformed("the checksum of its header does not match"));
        }
        let mut fields = Fields(covered);
        fields.bytes(8 + 4)?;
        let group = GroupId(fields.u64()?);
        let last = fields.log_id()?;
        fields.u32()?;
        Ok(Self {
            group,
            last,
            header: fields.0.to_vec(),
        })
    }
}

impl ChunkHead {
    pub(crate) fn of(section: Section, bytes: &[u8]) -> Self {
        Self {
            section,
            len: bytes.len(),
            checksum: chunk_checksum(section, bytes),
        }
    }

    pub(crate) fn encode(&self) -> [u8; CHUNK_HEADER_BYTES] {
        let mut out = [0; CHUNK_HEADER_BYTES];
        out[0] = self.section as u8;
        out[1..5].copy_from_slice(&(self.len as u32).to_le_bytes());
        out[5..].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; CHUNK_HEADER_BYTES]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let section = match fields.u8()? {
            1 => Section::Sessions,
            2 => Section::State,
            _ => return Err(Malformed("a chunk is of an unknown section")),
        };
        let len = fields.u32()? as usize;
        if len == 0 || len > MAX_CHUNK_BYTES {
            return Err(Malformed("a chunk has an impossible length"));
        }
        let checksum = fields.u32()?;
        Ok(Self {
            section,
            len,
            checksum,
        })
    }

    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<(), Malformed> {
        match chunk_checksum(self.section, bytes) == self.checksum {
            true => Ok(()),
            false => Err(Malformed("the checksum of a chunk does not match")),
        }
    }
}

fn chunk_checksum(section: Section, bytes: &[u8]) -> u32 {
    let start = crc32c::crc32c(&[section as u8]);
    let len = crc32c::crc32c_append(start, &(bytes.len() as u32).to_le_bytes());
    crc32c::crc32c_append(len, bytes)
}

/// The trailer of a file that has `len` bytes with it.
pub(crate) fn encode_trailer(len: u64, digest: &Digest) -> Vec<u8> {
    let mut out = vec![TRAILER_TAG];
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&digest.0);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The digest in a trailer at the end of a file of `len` bytes.
pub(crate) fn decode_trailer(bytes: &[u8; TRAILER_BYTES], len: u64) -> Result<Digest, Malformed> {
    let (covered, checksum) = bytes.split_at(TRAILER_BYTES - 4);
    if checksum != crc32c::crc32c(covered).to_le_bytes() {
        return Err(Malformed("the checksum of its trailer does not match"));
    }
    let mut fields = Fields(covered);
    if fields.u8()? != TRAILER_TAG {
        return Err(Malformed("it has no trailer"));
    }
    if fields.u64()? != len {
        return Err(Malformed("it has not the length its trailer says"));
    }
    Ok(Digest(fields.array()?))
}

/// Damage in a file of this name.
pub(crate) fn damaged(file: &str) -> impl Fn(Malformed) -> SnapshotError {
    move |Malformed(reason)| SnapshotError::Damaged {
        file: file.to_owned(),
        reason: reason.to_owned(),
    }
}

pub(crate) fn io_error(context: &str, file: &str) -> impl Fn(std::io::Error) -> SnapshotError {
    move |source| SnapshotError::Io {
        context: format!("{context} {file}"),
        source,
    }
}
