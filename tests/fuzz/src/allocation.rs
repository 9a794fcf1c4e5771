//! How much memory a piece of work takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes of this thread that are in use, and the most there were since the last look.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, and a count per thread.
struct Counting;

fn count(bytes: isize) {
    // A thread that ends frees memory after its counters are gone.
    let _ = IN_USE.try_with(|in_use| {
        let now = in_use.get() + bytes;
        in_use.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

#[expect(
    unsafe_code,
    reason = "every call goes to the system's allocator as it is"
)]
// SAFETY: as `System`, to which each call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and how many more bytes than before it had in use at one time on this
/// thread.
pub fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// Runs `work`, which must not have more than `bytes` in use at one time.
///
/// # Panics
///
/// If it has.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_bytes(work);
    assert!(
        peak <= bytes,
        "{peak} bytes were in use at one time, {bytes} are allowed"
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_at_one_time_is_counted() {
        let ((), peak) = peak_bytes(|| {
            for _ in 0..10 {
                drop(std::hint::black_box(vec![0u8; 10_000]));
            }
        });
        assert!((10_000..20_000).contains(&peak), "{peak}");
    }

    #[test]
    #[should_panic(expected = "are allowed")]
    fn more_than_is_allowed_is_noticed() {
        within(1000, || drop(std::hint::black_box(vec![0u8; 1001])));
    }
}
