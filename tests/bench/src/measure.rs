//! A median of CPU time.

use rustix::time::{ClockId, clock_gettime};

/// Runs `round` once to warm up and then `rounds` times; nanoseconds of this thread per unit.
pub(crate) fn per_unit(
    rounds: usize,
    units: usize,
    mut round: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    round()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = thread_nanos();
        round()?;
        times.push(thread_nanos() - begin);
    }
    times.sort_unstable();
    Ok(times.get(rounds / 2).copied().unwrap_or_default() as f64 / units as f64)
}

/// CPU time of this thread, nanoseconds.
fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}
