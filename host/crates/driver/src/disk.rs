//! The disk behind everything that is stored, so that the simulator can put a faulty one there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A folder tree. Paths are relative to the node's data folder.
///
/// Errors are the operating system's. After an error from `sync` or `sync_dir` what was written
/// is in an unknown state: no caller may try again, the node stops.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Opens a file for reading and writing; creates it (empty) if `create`.
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>>;
    /// Replaces `to` by `from`, atomically; durable after `sync_dir` of the folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The files in a folder, sorted by name; empty if there is no such folder.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Bytes that are free, where that is known.
    fn free_bytes(&self) -> io::Result<Option<u64>>;
}

/// An open file of a [`Disk`].
pub trait File: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buffer` from `offset`; an end of file before that is an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Cuts or extends it.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes everything written durable. Never called again after it failed.
    fn sync(&self) -> io::Result<()>;
}
