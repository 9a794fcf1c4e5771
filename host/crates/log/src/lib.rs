//! The durable log of a node on redb, and its snapshot files.
//!
//! All groups of a node share one file. What is written together is one *commit*: a stream of
//! checksummed records, cut into rows under consecutive keys, durable with one
//! fsync. An index in memory knows what is live and where; it is built anew at each
//! start by replaying every row, so nothing that is damaged or missing goes unnoticed.
//! Rows go as a strict prefix only. An anchor outside redb tells when the
//! disk has forgotten what it promised to keep.

mod anchor;
mod backend;
mod batch;
mod collector;
mod errors;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod images;
mod index;
mod memory_disk;
mod mutant;
mod options;
mod overlay;
mod reader;
mod real_disk;
mod record;
mod recovered;
mod replay;
mod row;
mod snapshot_files;
mod snapshot_format;
mod snapshot_reader;
mod snapshot_receiver;
mod snapshot_writer;
mod space;
mod store;
mod table;

pub use errors::engine_cannot_unwind;
pub use images::{Inspected, SnapshotInfo, inspect_snapshot};
pub use memory_disk::{Fault, MemoryDisk};
pub use options::Options;
pub use overlay::Overlay;
pub use reader::Reader;
pub use real_disk::{RealDisk, free_bytes};
pub use snapshot_files::{MAX_PARTIAL_FILES, SnapshotFiles};
pub use store::{Replacement, Store};
