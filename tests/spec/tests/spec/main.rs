//! Traces, right and wrong.

mod right;
mod trace;
mod wrong;
