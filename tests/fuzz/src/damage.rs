//! Bytes that were good once.

use crate::Tape;

/// Edits of one input, at most.
const MAX_EDITS: usize = 6;

/// Bytes inserted by one edit, at most.
const MAX_INSERTED: usize = 32;

/// The input of a decoder that a tape stands for: its rest as it is, or one of `seeds` damaged.
pub fn input(tape: &mut Tape<'_>, seeds: &[Vec<u8>]) -> Vec<u8> {
    if tape.byte() < 64 || seeds.is_empty() {
        return tape.rest().to_vec();
    }
    let seed = tape.pick(seeds).clone();
    damaged(tape, seed)
}

/// `good` after a few edits; sometimes none.
pub fn damaged(tape: &mut Tape<'_>, good: Vec<u8>) -> Vec<u8> {
    let mut bytes = good;
    for _ in 0..tape.below(MAX_EDITS + 1) {
        edit(tape, &mut bytes);
    }
    bytes
}

fn edit(tape: &mut Tape<'_>, bytes: &mut Vec<u8>) {
    let at = tape.below(bytes.len());
    match tape.byte() % 9 {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_slice(tape.bytes(MAX_INSERTED)),
        2 => {
            let insert = tape.bytes(MAX_INSERTED).to_vec();
            bytes.splice(at..at, insert);
        }
        3 => {
            let end = (at + 1 + tape.below(MAX_INSERTED)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let end = (at + 1 + tape.below(MAX_INSERTED)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = tape.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        5 => overwrite(bytes, at, &edge(tape).to_le_bytes()[..4]),
        6 => overwrite(bytes, at, &edge(tape).to_le_bytes()),
        7 => overwrite(bytes, at, &[tape.byte()]),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (tape.byte() % 8);
            }
        }
    }
}

/// Numbers that decoders trip over.
fn edge(tape: &mut Tape<'_>) -> u64 {
    const EDGES: &[u64] = &[
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x100,
        0xffff,
        0x1_0000,
        0x00ff_ffff,
        0x0100_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff0,
        0xffff_ffff,
        0x7fff_ffff_ffff_ffff,
        u64::MAX - 1,
        u64::MAX,
    ];
    *tape.pick(EDGES)
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}
