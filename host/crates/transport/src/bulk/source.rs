//! Where the bytes of a transfer come from.

use std::fmt;
use std::io;

use bytes::{Buf, Bytes};

/// Bytes to send, read on a thread that may block.
pub trait BulkSource: Send + fmt::Debug {
    /// How many bytes there are in all. Asked once, before the first is read.
    fn length(&self) -> u64;

    /// Reads the next bytes into `buffer`; returns how many, at least one until all are read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct BytesSource(Bytes);

impl BytesSource {
    /// A source of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl BulkSource for BytesSource {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.0.len());
        self.0.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
