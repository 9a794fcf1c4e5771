//! Room on the disk: a low-water mark, and a ballast to throw out when the water rises.

use std::path::PathBuf;
use std::sync::Arc;

use coracle_driver::{Disk, LogError};

use crate::errors::io_error;

/// Written at a time.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// Free room of the node's data folder.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    disk: Arc<dyn Disk>,
    ballast: PathBuf,
    ballast_bytes: u64,
    low_water_bytes: u64,
}

impl Space {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        ballast: PathBuf,
        ballast_bytes: u64,
        low_water_bytes: u64,
    ) -> Self {
        Self {
            disk,
            ballast,
            ballast_bytes,
            low_water_bytes,
        }
    }

    /// Whether proposals should be refused. Not being able to tell counts as yes.
    pub(crate) fn low(&self) -> bool {
        match self.disk.free_bytes() {
            Ok(Some(free)) => free < self.low_water_bytes,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Writes the ballast if there is room for it beside the low-water mark. Real bytes: a sparse
    /// file keeps no room.
    pub(crate) fn take_ballast(&self) -> Result<(), LogError> {
        let wanted = self.low_water_bytes.saturating_add(self.ballast_bytes);
        let free = self
            .disk
            .free_bytes()
            .map_err(io_error("asking for room"))?;
        if self.ballast_bytes == 0 || free.is_some_and(|free| free < wanted) {
            return Ok(());
        }
        let context = "writing the ballast";
        let file = self
            .disk
            .open(&self.ballast, true)
            .map_err(io_error(context))?;
        let mut at = file.len().map_err(io_error(context))?;
        if at >= self.ballast_bytes {
            return Ok(());
        }
        let block = vec![0; BLOCK_BYTES.min(self.ballast_bytes) as usize];
        while at < self.ballast_bytes {
            let len = BLOCK_BYTES.min(self.ballast_bytes - at);
            file.write_at(at, &block[..len as usize])
                .map_err(io_error(context))?;
            at += len;
        }
        file.sync().map_err(io_error(context))
    }

    /// Gives the ballast up if hardly anything else is left. Returns whether it did.
    pub(crate) fn drop_ballast(&self) -> Result<bool, LogError> {
        let free = self
            .disk
            .free_bytes()
            .map_err(io_error("asking for room"))?;
        if self.ballast_bytes == 0 || free.is_none_or(|free| free >= self.ballast_bytes) {
            return Ok(false);
        }
        match self.disk.remove(&self.ballast) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("giving up the ballast")(error)),
        }
    }
}
