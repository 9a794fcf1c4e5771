//! The hot frames: batches of [`Envelope`]s in a small hand-written, versioned encoding.
//!
//! Integers are LEB128 varints in their shortest form, so that every batch has exactly one
//! encoding. `testdata/envelopes.v1.hex` pins it.
//!
//! ```text
//! batch      u8 version, count, envelope*
//! envelope   group, from, to: replica, term, u8 tag, fields
//! replica    node, born            log id   term, index
//! 1 vote            u8 kind, last: log id
//! 2 vote reply      u8 kind, u8 granted
//! 3 append          prev: log id, commit, count, (term, index, u8 kind, length, bytes)*
//! 4 append matched  index
//! 5 append rejected rejected, hint: log id
//! 6 heartbeat       commit, round
//! 7 heartbeat reply round
//! 8 snapshot        last: log id, configuration
//! 9 quiesce         last: log id, commit
//! 10 timeout now
//! 11 read index     round
//! 12 read granted   round, index
//! 13 read refused   round
//! 14 heartbeat      commit, round; the leader asks for a promise
//! 15 promise        round, hold in microseconds, u8 priority; a heartbeat reply that does not fit 7
//! 16 lease read     round
//! 17 wake
//! configuration     index, 4 x (count, replica* ascending): voters, outgoing, learners,
//!                   next learners, u8 auto leave
//! ```

mod read;
mod reader;
mod varint;
mod write;

use bytes::{BufMut, Bytes, BytesMut};
use coracle_proto::Envelope;

pub use write::weight;

use reader::Reader;

/// Version of the encoding, the first byte of every batch.
pub const VERSION: u8 = 1;

/// Payloads below this many bytes are copied out of the frame at decoding; larger ones are
/// slices of it. A small slice would keep the whole frame in memory.
pub const COPY_BELOW: usize = 256;

/// Upper bound of what a batch needs besides its envelopes: version and count.
pub(crate) const BATCH_OVERHEAD: usize = 1 + varint::MAX_BYTES;

/// The fewest bytes an envelope can take: group, two replicas, term, tag.
const MIN_ENVELOPE: usize = 7;

/// Why bytes from a peer are not a batch of envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a version this node does not read.
    #[error("batch has version {found}, this node reads {VERSION}")]
    Version {
        /// The version byte.
        found: u8,
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
}

/// Encodes a batch.
pub fn encode(envelopes: &[Envelope]) -> Bytes {
    let size = envelopes.iter().map(weight).sum::<usize>() + BATCH_OVERHEAD;
    let mut out = BytesMut::with_capacity(size);
    encode_into(envelopes, &mut out);
    out.freeze()
}

/// Appends a batch to `out`.
pub(crate) fn encode_into(envelopes: &[Envelope], out: &mut BytesMut) {
    out.put_u8(VERSION);
    varint::put(out, envelopes.len() as u64);
    for envelope in envelopes {
        write::envelope(out, envelope);
    }
}

/// Decodes a batch. Nothing is allocated for elements that cannot be there.
pub fn decode(batch: Bytes) -> Result<Vec<Envelope>, CodecError> {
    let mut reader = Reader::new(batch);
    let found = reader.byte("version")?;
    if found != VERSION {
        return Err(CodecError::Version { found });
    }
    let count = reader.count("envelopes", MIN_ENVELOPE)?;
    let mut envelopes = Vec::with_capacity(count);
    for _ in 0..count {
        envelopes.push(read::envelope(&mut reader)?);
    }
    match reader.remaining() {
        0 => Ok(envelopes),
        bytes => Err(CodecError::Trailing { bytes }),
    }
}
