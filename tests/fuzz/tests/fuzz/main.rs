//! The targets. One file for each part of the system that reads what others wrote.

/// Gives tapes of at most so many bytes to a target: those of its corpus, and so many of a seed or
/// what an engine of bolero makes.
macro_rules! fuzz {
    ($tapes:expr, $bytes:expr, $target:expr) => {{
        let target = std::panic::AssertUnwindSafe($target);
        coracle_fuzz::seeded($tapes, $bytes, &*target);
        bolero::check!()
            .with_iterations(0)
            .with_max_len($bytes)
            .for_each(|tape: &[u8]| (*target)(tape));
    }};
}

mod bombs;
mod client;
mod driver;
mod guest;
mod host;
mod http;
mod http_connection;
mod http_service;
mod log_records;
mod log_store;
mod proto;
mod raft_step;
mod runtime;
mod snapshot_files;
mod transport;
