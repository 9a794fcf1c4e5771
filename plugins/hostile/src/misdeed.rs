//! What never ends well.

use std::{hint::black_box, mem};

/// Bytes taken at a time.
const ALLOC_BYTES: usize = 1 << 20;

/// Numbers in a frame on the shadow stack.
const FRAME_WORDS: usize = 8;

pub(crate) fn spin() -> ! {
    loop {
        black_box(());
    }
}

pub(crate) fn alloc() -> ! {
    loop {
        // Not written to, for filling memory would use up the fuel before the memory.
        mem::forget(black_box(Vec::<u8>::with_capacity(ALLOC_BYTES)));
    }
}

/// Each call keeps an array whose address escapes, so it needs a frame in memory.
#[inline(never)]
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = [depth; FRAME_WORDS];
    if black_box(&frame)[0] == u64::MAX {
        return depth;
    }
    recurse(depth + 1) ^ black_box(&frame)[1]
}

/// Needs the result of the deeper call for arithmetic that is not associative, so that it is no
/// loop; and keeps everything in locals, so that it uses no memory. It ends, but not in our time.
#[inline(never)]
pub(crate) fn recurse_bare(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    (recurse_bare(depth + 1).rotate_left(7) ^ depth).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
