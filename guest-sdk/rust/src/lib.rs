//! The Rust guest SDK: one trait and one macro to write a state machine.
