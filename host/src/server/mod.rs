//! A running node: the threads and tasks around the driver's polled objects.

mod admit;
mod alarm;
mod bulk;
mod call;
mod clock;
mod configure;
mod consensus;
mod create;
mod dispatch;
mod event_trace;
mod everywhere;
mod execute;
#[cfg(feature = "failpoints")]
mod failpoints;
mod fetched;
mod forward;
mod freshness;
#[doc(hidden)]
pub mod fuzzing;
mod heal;
mod images;
mod kept_file;
mod leadership;
mod log_writer;
mod machines;
mod membership;
mod metered_disk;
mod notes;
mod peers;
mod plugins;
mod pool;
mod queue;
mod reads;
mod reconcile;
mod scrape;
mod service;
mod settings;
mod shell;
mod snapshots;
mod spread;
mod staging;
mod start;
mod status;
mod storage;
mod transfer;
mod views;
mod waiters;
mod workers;

use shell::Shell;

pub(crate) use membership::MAX_TOKEN_TTL;
pub use settings::LogControl;
pub use start::{Handle, run, run_with, start};
pub use storage::{CLUSTER, FIRST_START, SNAPSHOTS};
