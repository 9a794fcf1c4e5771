//! End to end: real processes, real QUIC, real disks.
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod command_line;
mod damage;
mod exactly_once;
mod failover;
mod hostile;
mod join;
mod lifecycle;
mod membership;
mod readme;
mod recover;
mod requests;
mod upgrade;
