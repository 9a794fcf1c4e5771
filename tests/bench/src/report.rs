//! The table and the JSON.

use std::fmt;

use serde::Serialize;

use crate::state::State;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command_bytes: usize,
    pub(crate) rounds: usize,
    pub(crate) stage_ms: f64,
    pub(crate) start_us: f64,
    pub(crate) groups: Vec<Group>,
    pub(crate) state: State,
}

/// Nanoseconds per command in groups of one size.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) size: usize,
    pub(crate) native_ns: f64,
    pub(crate) sandbox_ns: f64,
    /// In the sandbox without the depth counter.
    pub(crate) uncounted_ns: f64,
    pub(crate) fuel: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command_bytes,
            rounds,
            stage_ms,
            start_us,
            groups,
            state,
        } = self;
        writeln!(
            f,
            "kv, put, {command_bytes} bytes; ns of CPU per command, median of {rounds}"
        )?;
        writeln!(
            f,
            "group   native  sandbox   ratio  without counter  counter  fuel"
        )?;
        for group in groups {
            let Group {
                size,
                native_ns,
                sandbox_ns,
                uncounted_ns,
                fuel,
            } = group;
            writeln!(
                f,
                "{size:>5} {native_ns:>8.1} {sandbox_ns:>8.1} {:>6.2}x {uncounted_ns:>16.1} {:>+7.1}% {fuel:>5}",
                sandbox_ns / native_ns,
                (sandbox_ns / uncounted_ns - 1.0) * 100.0,
            )?;
        }
        writeln!(f, "stage {stage_ms:.1} ms, start {start_us:.1} us")?;
        let State {
            bytes,
            native_snapshot_ms,
            snapshot_ms,
            native_restore_ms,
            restore_ms,
        } = state;
        let mib = *bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "snapshot of {mib:.1} MiB: {snapshot_ms:.1} ms, native {native_snapshot_ms:.1} ms ({:.1}x)",
            snapshot_ms / native_snapshot_ms,
        )?;
        writeln!(
            f,
            "restore: {restore_ms:.1} ms, native {native_restore_ms:.1} ms ({:.1}x)",
            restore_ms / native_restore_ms,
        )
    }
}
