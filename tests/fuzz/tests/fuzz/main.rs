//! The targets. One file for each part of the system that reads what others wrote.

/// Gives tapes of at most so many bytes to a target, on every run so many of them.
macro_rules! fuzz {
    ($iterations:expr, $bytes:expr, $target:expr) => {{
        let target = std::panic::AssertUnwindSafe($target);
        bolero::check!()
            .with_iterations($iterations)
            .with_max_len($bytes)
            .for_each(|tape: &[u8]| (*target)(tape));
    }};
}

mod driver;
mod host;
mod http;
mod log_records;
mod log_store;
mod proto;
mod raft_step;
mod runtime;
mod snapshot_files;
mod transport;
