//! Fuzzing: what the targets in `tests/fuzz` share.
//!
//! Every target takes a tape of bytes. A tape comes from a seed on every `cargo test`, and from an
//! engine of bolero under `cargo xtask fuzz` and `cargo bolero`. What it means is told in [`Tape`].

mod allocation;
mod damage;
mod seeded;
mod tape;

pub use allocation::{peak_bytes, within};
pub use damage::{damaged, input};
pub use seeded::seeded;
pub use tape::Tape;
