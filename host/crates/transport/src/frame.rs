//! Frames on a stream: `u32` length, little-endian, then so many bytes.

use bytes::{Bytes, BytesMut};
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};

use crate::limits::READ_CHUNK_BYTES;

/// Bytes of the length.
pub(crate) const PREFIX_BYTES: usize = 4;

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("frame of {length} bytes is above the limit of {limit}")]
    TooLarge { length: usize, limit: usize },
    #[error("stream ended before the frame")]
    Ended,
    #[error("stream ends inside a frame")]
    Truncated,
    #[error("stream lost: {0}")]
    Lost(#[from] ReadError),
}

impl From<ReadExactError> for FrameError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(0) => Self::Ended,
            ReadExactError::FinishedEarly(_) => Self::Truncated,
            ReadExactError::ReadError(error) => Self::Lost(error),
        }
    }
}

/// Reads one frame.
pub(crate) async fn read(stream: &mut RecvStream, limit: usize) -> Result<Bytes, FrameError> {
    let length = read_length(stream, limit).await?;
    read_body(stream, length).await
}

/// Reads one frame, or nothing if the stream ends before it.
pub(crate) async fn read_next(
    stream: &mut RecvStream,
    limit: usize,
) -> Result<Option<Bytes>, FrameError> {
    match read(stream, limit).await {
        Ok(frame) => Ok(Some(frame)),
        Err(FrameError::Ended) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the length and checks it, before anything is allocated for it.
pub(crate) async fn read_length(
    stream: &mut RecvStream,
    limit: usize,
) -> Result<usize, FrameError> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let length = u32::from_le_bytes(prefix) as usize;
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    Ok(length)
}

/// Reads so many bytes; memory grows with what has arrived, not with what was announced.
pub(crate) async fn read_body(stream: &mut RecvStream, length: usize) -> Result<Bytes, FrameError> {
    let mut body = BytesMut::with_capacity(length.min(READ_CHUNK_BYTES));
    while body.len() < length {
        let wanted = (length - body.len()).min(READ_CHUNK_BYTES);
        let Some(chunk) = stream.read_chunk(wanted, true).await? else {
            return Err(FrameError::Truncated);
        };
        body.extend_from_slice(&chunk.bytes);
    }
    Ok(body.freeze())
}

/// Writes one frame.
pub(crate) async fn write(stream: &mut SendStream, body: Bytes) -> Result<(), WriteError> {
    let prefix = Bytes::copy_from_slice(&prefix(body.len()));
    stream.write_all_chunks(&mut [prefix, body]).await
}

/// The length as it stands before a frame. Callers have checked their limit, which is far below
/// 4 GiB.
pub(crate) fn prefix(length: usize) -> [u8; PREFIX_BYTES] {
    u32::try_from(length)
        .expect("frames are limited below 4 GiB")
        .to_le_bytes()
}
