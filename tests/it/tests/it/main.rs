//! End to end: real processes, real QUIC, real disks.
#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod command_line;
mod config;
mod damage;
mod events;
mod exactly_once;
mod failover;
mod hostile;
mod join;
mod leadership;
mod lifecycle;
mod many_groups;
mod membership;
mod metrics;
mod readme;
mod reads;
mod recover;
mod requests;
mod shutdown;
mod snapshots;
mod upgrade;
