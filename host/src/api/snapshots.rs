//! What the HTTP layer asks of a node about snapshots.

use bytes::Bytes;
use coracle_client::{DigestHex, ImageReceived, Restore, Restored, SnapshotInfo, SnapshotList};

use super::Future;

/// A snapshot file that is open; its bytes stay even if it is removed meanwhile.
pub trait OpenSnapshot: Send {
    /// What it is.
    fn info(&self) -> &SnapshotInfo;

    /// Fills `buffer` from `offset`. Blocks.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), String>;
}

/// Snapshots of this node, and images brought to it.
pub trait Snapshots: Send + Sync {
    /// The snapshots of an fsm that are on this node, oldest first.
    fn snapshots<'a>(&'a self, fsm: &'a str) -> Future<'a, SnapshotList>;

    /// Opens one of them; `None`: the newest.
    fn open_snapshot<'a>(
        &'a self,
        fsm: &'a str,
        index: Option<u64>,
    ) -> Future<'a, Box<dyn OpenSnapshot>>;

    /// Adds bytes to an image.
    fn add_to_image(&self, image: DigestHex, offset: u64, part: Bytes)
    -> Future<'_, ImageReceived>;

    /// Verifies an image that was brought in full.
    fn finish_image(&self, image: DigestHex) -> Future<'_, ImageReceived>;

    /// Restores an fsm from an image; answers with the entry that did it.
    fn restore<'a>(&'a self, fsm: &'a str, restore: Restore) -> Future<'a, Restored>;
}
