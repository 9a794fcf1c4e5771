//! The hot frames: batches of [`Envelope`]s in a small hand-written, versioned encoding.
//!
//! Integers are LEB128 varints in their shortest form, so that every batch has exactly one
//! encoding in each version. `testdata/envelopes.v*.hex` pin them.
//!
//! ```text
//! batch      u8 version, count, envelope*
//!            or u8 version | 0x80, length of the batch, the batch as an LZ4 block (from 2 on)
//! envelope   of version 1: group, from, to: replica, term, u8 tag, fields
//!            of version 2: u8 head, then, unless the head leaves it out: group; from, to; term;
//!            and fields. The head: bits 0-4 tag, bit 5 group is the previous + 1, bit 6 both
//!            replicas are the previous ones, bit 7 so is the term
//! replica    node, born            log id   term, index
//! 1 vote             u8 kind, last: log id
//! 2 vote reply       u8 kind, u8 granted
//! 3 append           prev: log id, commit, count, (term, index, u8 kind, length, bytes)*
//! 4 append matched   index
//! 5 append rejected  rejected, hint: log id
//! 6 heartbeat        commit, round
//! 7 heartbeat reply  round
//! 8 snapshot         last: log id, configuration
//! 9 quiesce          last: log id, commit
//! from version 2 on:
//! 10 timeout now     nothing
//! 11 read index      round
//! 12 read index granted  round, index
//! 13 read index refused  round
//! 14 heartbeat        commit, round; the leader asks for a promise
//! 15 promise          round, hold in microseconds, u8 priority: a heartbeat reply that is not 7
//! 16 lease read       round
//! 17 wake             nothing
//! configuration      index, 4 x (count, replica* ascending): voters, outgoing, learners,
//!                    next learners, u8 flags (1 auto leave, 2 witnesses follow), witnesses
//! ```

mod packed;
mod read;
mod reader;
mod v1;
mod v2;
mod varint;
mod write;

use bytes::{BufMut, Bytes, BytesMut};
use coracle_proto::Envelope;

pub(crate) use packed::{Saver, packed};
pub use write::weight;

use crate::limits::{MAX_BATCH_ENVELOPES, MAX_BATCH_MEMORY_BYTES, MAX_FRAME_BYTES};
use crate::mutant::mutant;
use crate::versions::{MAX_WIRE_VERSION, MIN_WIRE_VERSION};
use reader::Reader;

/// Payloads below this many bytes are copied out of the frame at decoding; larger ones are
/// slices of it. A small slice would keep the whole frame in memory.
pub const COPY_BELOW: usize = 256;

/// Upper bound of what a batch needs besides its envelopes: version and count.
pub(crate) const BATCH_OVERHEAD: usize = 1 + varint::MAX_BYTES;

/// Why bytes from a peer are not a batch of envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a version this node does not read.
    #[error("batch has version {found}, versions {MIN_WIRE_VERSION} to {newest} were agreed on")]
    Version {
        /// The version byte.
        found: u8,
        /// The newest that may come.
        newest: u16,
    },
    /// The bytes end in the middle of something.
    #[error("batch ends inside {field}")]
    Truncated {
        /// What was being read.
        field: &'static str,
    },
    /// A varint above 64 bits, or not in its shortest form.
    #[error("{field} is not a canonical varint")]
    Varint {
        /// What was being read.
        field: &'static str,
    },
    /// A tag that names nothing.
    #[error("{field} has unknown tag {found}")]
    Tag {
        /// What was being read.
        field: &'static str,
        /// The tag.
        found: u8,
    },
    /// More elements are announced than the remaining bytes can hold.
    #[error("{field} announces {count} elements with {remaining} bytes left")]
    Count {
        /// What was being read.
        field: &'static str,
        /// As announced.
        count: u64,
        /// What is left of the batch.
        remaining: usize,
    },
    /// A set whose elements do not ascend.
    #[error("{field} is not in strictly ascending order")]
    Order {
        /// What was being read.
        field: &'static str,
    },
    /// Bytes after the last envelope.
    #[error("{bytes} bytes follow the last envelope")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// Said although it goes without saying.
    #[error("{field} is as before and should have been left out")]
    Redundant {
        /// What.
        field: &'static str,
    },
    /// A compressed batch that cannot be, or must not be, as large as it says.
    #[error("compressed batch claims {claimed} bytes, {possible} are possible")]
    Uncompressed {
        /// As claimed.
        claimed: u64,
        /// As much as the block can hold, or as is allowed.
        possible: usize,
    },
    /// More elements than a frame may take in memory.
    #[error("{field} would take the batch above {MAX_BATCH_MEMORY_BYTES} bytes of memory")]
    Memory {
        /// What was being read.
        field: &'static str,
    },
    /// A compressed batch that does not come apart into as many bytes as it says.
    #[error("compressed batch is damaged")]
    Block,
}

/// Whether a peer with which this version was agreed on understands the envelope.
pub fn is_known(version: u16, envelope: &Envelope) -> bool {
    version > 1 || v1::knows(&envelope.message)
}

/// Encodes a batch in a version. What that does not know is left out.
pub fn encode(version: u16, envelopes: &[Envelope]) -> Bytes {
    let size = envelopes.iter().map(weight).sum::<usize>() + BATCH_OVERHEAD;
    let mut out = BytesMut::with_capacity(size);
    encode_into(version, envelopes, &mut out);
    out.freeze()
}

/// Appends a batch to `out`; returns how many envelopes are in it.
pub(crate) fn encode_into(version: u16, envelopes: &[Envelope], out: &mut BytesMut) -> usize {
    let known = || {
        envelopes
            .iter()
            .filter(|envelope| is_known(version, envelope))
    };
    let count = known().count();
    // There is no version that does not fit.
    out.put_u8(version as u8);
    varint::put(out, count as u64);
    if version == 1 {
        known().for_each(|envelope| v1::put_envelope(out, envelope));
    } else {
        let mut previous = v2::Previous::none();
        known().for_each(|envelope| v2::put_envelope(out, &mut previous, envelope));
    }
    count
}

/// Encodes a batch compressed, if its version can and if that saves something.
pub fn encode_packed(version: u16, envelopes: &[Envelope]) -> Bytes {
    let batch = encode(version, envelopes);
    if version == 1 {
        return batch;
    }
    let mut out = BytesMut::new();
    match Saver::default().pack(&batch, &mut out) {
        true => out.freeze(),
        false => batch,
    }
}

/// Decodes a batch of this or an earlier version. Nothing is allocated for elements that cannot be
/// there.
pub fn decode(batch: Bytes, newest: u16) -> Result<Vec<Envelope>, CodecError> {
    let mut reader = Reader::new(batch);
    let mut found = reader.byte("version")?;
    let packed = found > packed::PACKED + 1;
    if packed {
        reader = Reader::new(packed::unpack(reader, MAX_FRAME_BYTES)?);
        if reader.byte("version")? != found & !packed::PACKED {
            return Err(CodecError::Block);
        }
        found &= !packed::PACKED;
    }
    let newest = newest.min(MAX_WIRE_VERSION);
    if !(MIN_WIRE_VERSION..=newest).contains(&u16::from(found)) {
        return Err(CodecError::Version { found, newest });
    }
    envelopes(reader, found)
}

fn envelopes(mut reader: Reader, version: u8) -> Result<Vec<Envelope>, CodecError> {
    let min_bytes = match version {
        1 => v1::MIN_ENVELOPE,
        _ => v2::MIN_ENVELOPE,
    };
    let field = "envelopes";
    let count = reader.count(field, min_bytes)?;
    if version > 1 && count > MAX_BATCH_ENVELOPES {
        return Err(CodecError::Count {
            field,
            count: count as u64,
            remaining: MAX_BATCH_ENVELOPES,
        });
    }
    reader.take(field, count.saturating_mul(size_of::<Envelope>()))?;
    let mut envelopes = Vec::with_capacity(count);
    let mut previous = v2::Previous::none();
    for _ in 0..count {
        envelopes.push(match version {
            1 => v1::envelope(&mut reader)?,
            _ => v2::envelope(&mut reader, &mut previous)?,
        });
    }
    match reader.remaining() {
        _ if mutant!(TrailingBytesIgnored) => Ok(envelopes),
        0 => Ok(envelopes),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}
