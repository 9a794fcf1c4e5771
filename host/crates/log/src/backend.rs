//! A file of a [`Disk`](coracle_driver::Disk) as redb wants it.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::mutant::mutant;
use coracle_driver::{File, LogError};
use redb::StorageBackend;

/// The first error the disk gave. redb reports the error itself only once, and later on only
/// that there was one.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskFailure(Arc<OnceLock<(io::ErrorKind, String)>>);

impl DiskFailure {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            self.0.get_or_init(|| (error.kind(), error.to_string()));
        }
        result
    }

    /// The disk's error if it had one, otherwise `other`.
    pub(crate) fn or(&self, context: &str, other: impl FnOnce() -> LogError) -> LogError {
        match self.0.get() {
            Some((kind, message)) => LogError::Io {
                context: context.to_owned(),
                source: io::Error::new(*kind, message.clone()),
            },
            None => other(),
        }
    }
}

/// The adapter.
#[derive(Debug)]
pub(crate) struct Backend {
    file: Arc<dyn File>,
    failure: DiskFailure,
}

impl Backend {
    pub(crate) fn new(file: Arc<dyn File>, failure: DiskFailure) -> Self {
        Self { file, failure }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.failure.note(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.failure.note(self.file.read_at(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.failure.note(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if mutant!(SyncSkipped) {
            return Ok(());
        }
        self.failure.note(self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failure.note(self.file.write_at(offset, data))
    }
}
