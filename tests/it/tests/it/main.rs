//! End to end: real processes, real QUIC, real disks.

mod command_line;
mod damage;
mod exactly_once;
mod failover;
mod hostile;
mod lifecycle;
mod readme;
mod requests;
mod upgrade;
