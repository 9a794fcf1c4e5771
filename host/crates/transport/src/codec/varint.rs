//! LEB128: seven bits a byte, least significant first, the top bit says that more follow.

use bytes::{BufMut, BytesMut};

/// Bytes of the largest 64-bit value.
pub(super) const MAX_BYTES: usize = 10;

pub(super) fn put(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// What taking a varint apart can come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A value and how many bytes it took.
    Value(u64, usize),
    /// The bytes end before the value does.
    Incomplete,
    /// Above 64 bits, or padded with a zero byte.
    Malformed,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut value = 0u64;
    for (position, &byte) in bytes.iter().take(MAX_BYTES).enumerate() {
        let overflows = position == MAX_BYTES - 1 && byte > 1;
        let padded = position > 0 && byte == 0;
        if overflows || padded {
            return Parsed::Malformed;
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            return Parsed::Value(value, position + 1);
        }
    }
    Parsed::Incomplete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_survive_a_round_trip() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut out = BytesMut::new();
            put(&mut out, value);
            assert_eq!(parse(&out), Parsed::Value(value, out.len()));
        }
    }

    #[test]
    fn padding_and_overflow_are_malformed() {
        assert_eq!(parse(&[0x80, 0x00]), Parsed::Malformed);
        assert_eq!(parse(&[0xff; 10]), Parsed::Malformed);
        assert_eq!(parse(&[0x80]), Parsed::Incomplete);
    }
}
