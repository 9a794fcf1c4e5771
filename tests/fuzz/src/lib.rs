//! Fuzzing: what the targets in `tests/fuzz` share.
//!
//! Every target takes a tape of bytes. A tape is made by an engine of bolero: at random on every
//! `cargo test`, guided by coverage under `cargo bolero`. What it means is told in [`Tape`].

mod allocation;
mod damage;
mod tape;

pub use allocation::{peak_bytes, within};
pub use damage::{damaged, input};
pub use tape::Tape;
