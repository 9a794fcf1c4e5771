//! Traces, right and wrong.

mod command;
mod right;
mod trace;
mod wrong;
