//! Replicated state machines as WebAssembly plugins: the node and its command line.

pub mod api;
pub mod cli;
pub mod config;
pub mod events;
pub mod init;
pub mod join;
mod metrics;
pub mod recover;
pub mod server;
pub mod ticket;
