//! Deliberate bugs, and the proof that the tests catch each of them.
//!
//! A test that cannot fail proves nothing. So Coracle's crates hold bugs, put in on purpose
//! ([`Mutant`]), which one program switches on one after the other. Each has to be caught twice:
//! by a directed [scenario], a story of a few steps that leads straight to it, and by a random
//! [search] within a budget of seeds. The same scenarios and seeds pass without a mutant.
//!
//! In an ordinary build there are no bugs to switch on, and what is left are the scenarios, as
//! tests of the sound code.

pub mod arguments;
mod catch;
mod cluster;
pub mod report;
pub mod run;
pub mod scenario;
pub mod search;
mod storage;
#[cfg(test)]
mod table;
mod wire;

pub use coracle_switch::{Area, Mutant};
