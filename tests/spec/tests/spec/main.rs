//! Traces, right and wrong.

mod command;
mod right;
mod trace;
mod wrong;
mod wrong_talk;
