//! Rows: how a commit is cut into values of the table.
//!
//! A commit is a stream of records. It is stored as one or more consecutive rows, because redb
//! gives each value a page of a power of two: a value of 268 KiB takes and writes 512 KiB, rows
//! of just under 32 KiB take and write what they hold. A row is, little-endian: `u32` CRC-32C of
//! the rest, `u64` its own key, `u64` the lowest key in the table once this commit is in it,
//! `u32` its position in the commit, `u32` the number of rows of the commit, bytes of the stream.

use crate::fields::{Fields, Malformed};
use crate::mutant::mutant;

/// Bytes before a row's share of the stream.
const ROW_HEADER_BYTES: usize = 4 + 8 + 8 + 4 + 4;

/// Largest value in the table: a little below 32 KiB, so that it fits a page with redb's header.
pub(crate) const MAX_ROW_BYTES: usize = 32 * 1024 - 64;

/// Bytes of the stream in each row but the last.
pub(crate) const ROW_BODY_BYTES: usize = MAX_ROW_BYTES - ROW_HEADER_BYTES;

/// Where a record is: in the commit whose first key is `commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) commit: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// A row, checked.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) first: u64,
    pub(crate) position: u32,
    pub(crate) count: u32,
    pub(crate) body: &'a [u8],
    /// Whether the checksum matches.
    pub(crate) intact: bool,
}

/// How many rows a stream of `len` bytes takes.
pub(crate) fn row_count(len: usize) -> usize {
    len.div_ceil(ROW_BODY_BYTES)
}

/// The values of a commit's rows, in the order of their keys.
pub(crate) fn rows(commit: u64, first: u64, stream: &[u8]) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let count = row_count(stream.len()) as u32;
    let bodies = stream.chunks(ROW_BODY_BYTES);
    bodies.zip(0_u32..).map(move |(body, position)| {
        let key = commit + u64::from(position);
        let mut row = Vec::with_capacity(ROW_HEADER_BYTES + body.len());
        row.extend_from_slice(&[0; 4]);
        row.extend_from_slice(&key.to_le_bytes());
        row.extend_from_slice(&first.to_le_bytes());
        row.extend_from_slice(&position.to_le_bytes());
        row.extend_from_slice(&count.to_le_bytes());
        row.extend_from_slice(body);
        let checksum = crc32c::crc32c(&row[4..]);
        row[..4].copy_from_slice(&checksum.to_le_bytes());
        (key, row)
    })
}

/// Reads a row's header. The checksum is compared only if `verify`: whoever reads single records
/// verifies theirs.
pub(crate) fn parse(key: u64, value: &[u8], verify: bool) -> Result<Row<'_>, Malformed> {
    let mut fields = Fields(value);
    let checksum = fields.u32()?;
    let verify = verify && !mutant!(RecordChecksumSkipped);
    let intact = !verify || crc32c::crc32c(fields.0) == checksum;
    let own = fields.u64()?;
    let row = Row {
        first: fields.u64()?,
        position: fields.u32()?,
        count: fields.u32()?,
        body: fields.0,
        intact,
    };
    match intact && own != key {
        true => Err(Malformed("a row stands under the key of another")),
        false => Ok(row),
    }
}
