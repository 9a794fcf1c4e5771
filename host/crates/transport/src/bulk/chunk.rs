//! Pieces of a transfer's data, from version 2 on: `u8` coding (0 as it is, 1 LZ4 block), `u32`
//! length of the data, `u32` length of what follows, and that.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::BULK_CHUNK_BYTES;

use super::{BulkError, lost};

/// Bytes before a chunk's data.
pub(super) const HEAD_BYTES: usize = 9;

const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Makes a chunk, compressed if that is wanted and saves an eighth.
pub(crate) fn encode(data: &[u8], compress: bool) -> Bytes {
    let block = compress.then(|| lz4_flex::block::compress(data));
    let block = block.filter(|block| block.len() < data.len() - data.len() / 8);
    let (coding, body) = match &block {
        Some(block) => (LZ4, &block[..]),
        None => (PLAIN, data),
    };
    let mut chunk = BytesMut::with_capacity(HEAD_BYTES + body.len());
    chunk.put_u8(coding);
    // A chunk is far below 4 GiB.
    chunk.put_u32_le(data.len() as u32);
    chunk.put_u32_le(body.len() as u32);
    chunk.put_slice(body);
    chunk.freeze()
}

/// What a chunk says of itself.
#[derive(Debug)]
pub(super) struct Head {
    coding: u8,
    length: usize,
    pub(super) coded: usize,
}

impl Head {
    /// Checks both lengths before room is made for either; `remaining` is what the transfer lacks.
    pub(super) fn decode(head: [u8; HEAD_BYTES], remaining: u64) -> Result<Self, BulkError> {
        let [coding, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let coded = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        let fits = (1..=BULK_CHUNK_BYTES).contains(&length)
            && length as u64 <= remaining
            && (1..=length).contains(&coded)
            && (coding == LZ4 || (coding == PLAIN && coded == length));
        fits.then_some(Self {
            coding,
            length,
            coded,
        })
        .ok_or_else(|| {
            lost(format!(
                "chunk of coding {coding} with {length} bytes in {coded}, {remaining} are missing"
            ))
        })
    }

    pub(super) fn open(&self, body: Bytes) -> Result<Bytes, BulkError> {
        if self.coding == PLAIN {
            return Ok(body);
        }
        let mut data = vec![0; self.length];
        match lz4_flex::block::decompress_into(&body, &mut data) {
            Ok(written) if written == self.length => Ok(data.into()),
            _ => Err(lost("compressed chunk is damaged")),
        }
    }
}

/// All the data of a transfer whose chunks are in memory, for tests: the reader takes them from a
/// stream.
pub(crate) fn decode_all(chunks: &Bytes, length: u64) -> Result<Vec<u8>, String> {
    let mut rest = chunks.clone();
    let mut data = Vec::new();
    while (data.len() as u64) < length {
        let head = rest.first_chunk().ok_or("cut short in a head")?;
        let head = Head::decode(*head, length - data.len() as u64).map_err(|e| e.to_string())?;
        if rest.len() < HEAD_BYTES + head.coded {
            return Err("cut short in a chunk".to_owned());
        }
        let body = rest.slice(HEAD_BYTES..HEAD_BYTES + head.coded);
        rest = rest.slice(HEAD_BYTES + head.coded..);
        data.extend_from_slice(&head.open(body).map_err(|e| e.to_string())?);
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(chunk: &Bytes) -> [u8; HEAD_BYTES] {
        chunk[..HEAD_BYTES].try_into().expect("long enough")
    }

    #[test]
    fn a_chunk_comes_back_as_it_was_and_smaller_if_it_can_be() {
        let even = vec![7; 100_000];
        for compress in [false, true] {
            let chunk = encode(&even, compress);
            assert_eq!(chunk.len() < 1000, compress);
            let head = Head::decode(head_of(&chunk), 100_000).expect("fits");
            assert_eq!(head.open(chunk.slice(HEAD_BYTES..)).expect("whole"), even);
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_read() {
        let head = |coding: u8, length: u32, coded: u32| {
            let head = [&[coding][..], &length.to_le_bytes(), &coded.to_le_bytes()].concat();
            Head::decode(head.try_into().expect("nine bytes"), 1000)
        };
        assert!(head(PLAIN, 1000, 1000).is_ok());
        for (coding, length, coded) in [
            (PLAIN, 1001, 1001),
            (PLAIN, 0, 0),
            (PLAIN, 10, 9),
            (LZ4, 10, 11),
            (LZ4, 10, 0),
            (2, 10, 10),
            (LZ4, u32::MAX, 10),
        ] {
            assert!(head(coding, length, coded).is_err());
        }
        let damaged = head(LZ4, 10, 3).expect("possible");
        assert!(damaged.open(Bytes::from_static(&[0xff; 3])).is_err());
    }
}
