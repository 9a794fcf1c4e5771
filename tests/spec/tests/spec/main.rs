//! Traces, right and wrong.

mod wrong;
