//! A cursor over a received batch. Every length is checked before it is used.

use bytes::{Buf, Bytes};

use super::varint::{self, Parsed};
use super::{COPY_BELOW, CodecError};
use crate::limits::MAX_BATCH_MEMORY_BYTES;

/// What an allocator adds to a small payload of its own, about.
pub(super) const COPY_OVERHEAD: usize = 32;

#[derive(Debug)]
pub(super) struct Reader {
    rest: Bytes,
    /// Bytes of memory that elements may still take.
    room: usize,
}

impl Reader {
    pub(super) fn new(batch: Bytes) -> Self {
        let room = MAX_BATCH_MEMORY_BYTES.saturating_sub(batch.len());
        Self { rest: batch, room }
    }

    /// Counts what elements take in memory, before room is made for them.
    pub(super) fn take(&mut self, field: &'static str, bytes: usize) -> Result<(), CodecError> {
        match self.room.checked_sub(bytes) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => Err(CodecError::Memory { field }),
        }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All that has not been read.
    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, CodecError> {
        if self.rest.is_empty() {
            return Err(CodecError::Truncated { field });
        }
        Ok(self.rest.get_u8())
    }

    pub(super) fn boolean(&mut self, field: &'static str) -> Result<bool, CodecError> {
        match self.byte(field)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(CodecError::Tag { field, found }),
        }
    }

    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, CodecError> {
        match varint::parse(&self.rest) {
            Parsed::Value(value, taken) => {
                self.rest.advance(taken);
                Ok(value)
            }
            Parsed::Incomplete => Err(CodecError::Truncated { field }),
            Parsed::Malformed => Err(CodecError::Varint { field }),
        }
    }

    /// A list of elements that take at least `min_bytes` each on the wire, and `memory` each once they
    /// are read.
    pub(super) fn list(
        &mut self,
        field: &'static str,
        min_bytes: usize,
        memory: usize,
    ) -> Result<usize, CodecError> {
        let count = self.count(field, min_bytes)?;
        self.take(field, count.saturating_mul(memory))?;
        Ok(count)
    }

    /// A count of elements that take at least `min_bytes` each.
    pub(super) fn count(
        &mut self,
        field: &'static str,
        min_bytes: usize,
    ) -> Result<usize, CodecError> {
        let count = self.varint(field)?;
        let remaining = self.remaining();
        match usize::try_from(count) {
            Ok(fits) if fits <= remaining / min_bytes => Ok(fits),
            _ => Err(CodecError::Count {
                field,
                count,
                remaining,
            }),
        }
    }

    /// A length-prefixed payload.
    pub(super) fn payload(&mut self, field: &'static str) -> Result<Bytes, CodecError> {
        let length = self.count(field, 1)?;
        let payload = self.rest.split_to(length);
        if length < COPY_BELOW {
            self.take(field, length + COPY_OVERHEAD)?;
            return Ok(Bytes::copy_from_slice(&payload));
        }
        Ok(payload)
    }
}
