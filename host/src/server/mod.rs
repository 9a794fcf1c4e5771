//! A running node: the threads and tasks around the driver's polled objects.

mod admit;
mod alarm;
mod bulk;
mod call;
mod clock;
mod consensus;
mod create;
mod dispatch;
mod execute;
mod forward;
mod log_writer;
mod machines;
mod membership;
mod notes;
mod peers;
mod plugins;
mod pool;
mod queue;
mod reconcile;
mod service;
mod shell;
mod staging;
mod start;
mod status;
mod storage;
mod transfer;
mod views;
mod waiters;
mod workers;

use shell::Shell;

pub use start::{Handle, run, run_with, start};
pub use storage::{CLUSTER, FIRST_START, SNAPSHOTS};
