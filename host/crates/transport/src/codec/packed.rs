//! Compressed batches: the block format of LZ4 around a batch of version 2 or later.

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::Reader;
use super::{CodecError, varint};
use crate::mutant::mutant;

/// Marks the version byte of a compressed batch.
pub(super) const PACKED: u8 = 0x80;

/// A batch below so many bytes is not worth the work.
pub(crate) const COMPRESS_ABOVE_BYTES: usize = 1 << 10;

/// Compression must save one part in so many.
const WORTH_ONE_IN: usize = 8;

/// LZ4 cannot make more of one byte than this.
const MAX_RATIO: usize = 255;

/// Decides which batches of a lane to try: after those that saved nothing, fewer.
#[derive(Debug, Default)]
pub(crate) struct Saver {
    failures: u32,
    skip: u32,
}

impl Saver {
    /// A batch is tried again after at most so many that were not.
    const MAX_SKIPPED: u32 = 64;

    /// Appends `batch` to `out` in compressed form, if that saves something. Returns whether it did.
    pub(crate) fn pack(&mut self, batch: &[u8], out: &mut BytesMut) -> bool {
        if !self.wants(batch.len()) {
            return false;
        }
        if pack(batch, out) {
            self.failures = 0;
            return true;
        }
        self.failures = self.failures.saturating_add(1);
        let skip = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.skip = skip.min(Self::MAX_SKIPPED);
        false
    }

    fn wants(&mut self, bytes: usize) -> bool {
        if bytes < COMPRESS_ABOVE_BYTES {
            return false;
        }
        let skipped = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        !skipped
    }
}

/// Appends the compressed form, if it is worth it.
fn pack(batch: &[u8], out: &mut BytesMut) -> bool {
    let block = lz4_flex::block::compress(batch);
    let worth = block.len() + 1 + varint::MAX_BYTES < batch.len() - batch.len() / WORTH_ONE_IN;
    if worth {
        put(batch, &block, out);
    }
    worth
}

fn put(batch: &[u8], block: &[u8], out: &mut BytesMut) {
    out.put_u8(batch[0] | PACKED);
    varint::put(out, batch.len() as u64);
    out.put_slice(block);
}

/// The compressed form, worth it or not.
pub(crate) fn packed(batch: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    put(batch, &lz4_flex::block::compress(batch), &mut out);
    out
}

/// The batch in a compressed one of which the first byte has been read. Its claimed size is checked
/// before room is made for it.
pub(super) fn unpack(mut reader: Reader, limit: usize) -> Result<Bytes, CodecError> {
    let claimed = reader.varint("uncompressed length")?;
    let block = reader.rest();
    let mut possible = block.len().saturating_mul(MAX_RATIO).min(limit);
    if mutant!(UnpackLimitIgnored) {
        possible = usize::MAX;
    }
    let length = usize::try_from(claimed)
        .ok()
        .filter(|length| *length <= possible)
        .ok_or(CodecError::Uncompressed { claimed, possible })?;
    let mut batch = vec![0; length];
    let written = lz4_flex::block::decompress_into(&block, &mut batch);
    match written {
        Ok(written) if written == length => Ok(batch.into()),
        _ => Err(CodecError::Block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_compress_is_tried_less_and_less_often() {
        let noise: Vec<u8> = (0..4096u32)
            .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8 ^ (i * i) as u8)
            .scan(1u64, |state, byte| {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                Some(byte ^ (*state >> 33) as u8)
            })
            .collect();
        let mut saver = Saver::default();
        let mut out = BytesMut::new();

        let tried = (0..1000).filter(|_| {
            let before = saver.failures;
            assert!(!saver.pack(&noise, &mut out));
            saver.failures > before
        });

        assert!(tried.count() < 30);
        assert!(out.is_empty());
        let compressible = vec![2; 4096];
        let saved = (0..=Saver::MAX_SKIPPED).any(|_| saver.pack(&compressible, &mut out));
        assert!(saved, "tried again in the end");
        assert!(saver.pack(&compressible, &mut out), "and from then on");
    }

    #[test]
    fn a_small_batch_is_left_alone() {
        let mut out = BytesMut::new();
        let small = vec![2; COMPRESS_ABOVE_BYTES - 1];
        assert!(!Saver::default().pack(&small, &mut out));
    }
}
