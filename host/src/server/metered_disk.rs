//! A disk that measures how long it takes to make something durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use coracle_driver::{Disk, File};

use crate::metrics::Metrics;

/// Another disk, measured.
#[derive(Debug)]
pub(super) struct MeteredDisk<D> {
    disk: D,
    metrics: Arc<Metrics>,
}

impl<D> MeteredDisk<D> {
    pub(super) fn new(disk: D, metrics: Arc<Metrics>) -> Self {
        Self { disk, metrics }
    }
}

impl<D: Disk> Disk for MeteredDisk<D> {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
        let file = self.disk.open(path, create)?;
        let metrics = Arc::clone(&self.metrics);
        Ok(Box::new(MeteredFile { file, metrics }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.disk.free_bytes()
    }
}

#[derive(Debug)]
struct MeteredFile {
    file: Box<dyn File>,
    metrics: Arc<Metrics>,
}

impl File for MeteredFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        let began = Instant::now();
        let result = self.file.sync();
        let took = began.elapsed().as_secs_f64();
        self.metrics.store.fsync.observe(took);
        result
    }
}
