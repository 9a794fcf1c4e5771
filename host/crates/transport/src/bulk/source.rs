//! Where the bytes of a transfer come from.

use std::fmt;
use std::io;

use bytes::{Buf, Bytes};

/// Bytes to send, read on a thread that may block.
pub trait BulkSource: Send + fmt::Debug {
    /// How many bytes there are in all. Asked once, before the first is read.
    fn length(&self) -> u64;

    /// What they are, for one who fetches them; at most
    /// [`MAX_BULK_HEADER_BYTES`](crate::MAX_BULK_HEADER_BYTES). Not told to peers of version 1.
    fn description(&self) -> Bytes {
        Bytes::new()
    }

    /// Goes on reading from here, because the receiver has what comes before.
    fn seek(&mut self, offset: u64) -> io::Result<()>;

    /// Reads the next bytes into `buffer`; returns how many, at least one until all are read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct BytesSource {
    all: Bytes,
    rest: Bytes,
}

impl BytesSource {
    /// A source of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self {
            rest: bytes.clone(),
            all: bytes,
        }
    }
}

impl BulkSource for BytesSource {
    fn length(&self) -> u64 {
        self.all.len() as u64
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.rest = self.all.slice(offset.min(self.all.len())..);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
