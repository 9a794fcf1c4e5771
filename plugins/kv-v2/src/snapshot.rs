//! The state as bytes: kv's header with format 2, the number of keys, then each key, its version
//! and its value, in order. Format 1 is kv's own, without versions.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
};

use coracle_guest::{
    Error,
    state::{
        read_bytes, read_header, read_u64, unknown_format, write_bytes, write_header, write_u64,
    },
};

use crate::Versioned;

const MAGIC: &[u8; 8] = b"coraclkv";
const KV_FORMAT: u32 = 1;
const FORMAT: u32 = 2;

/// Bytes of one key or value; the host's limit for a command is far below.
const FIELD_BYTES: usize = 64 << 20;

/// What a key that comes from kv, which does not count, begins with.
const FIRST_VERSION: u64 = 1;

pub(crate) fn write(
    values: &BTreeMap<Vec<u8>, Versioned>,
    sink: &mut impl Write,
) -> Result<(), Error> {
    write_header(sink, MAGIC, FORMAT)?;
    write_u64(sink, values.len() as u64)?;
    for (key, held) in values {
        write_bytes(sink, key)?;
        write_u64(sink, held.version)?;
        write_bytes(sink, &held.value)?;
    }
    Ok(())
}

pub(crate) fn read(source: &mut impl BufRead) -> Result<BTreeMap<Vec<u8>, Versioned>, Error> {
    let format = read_header(source, MAGIC)?;
    if !matches!(format, KV_FORMAT | FORMAT) {
        return Err(unknown_format(format));
    }
    let mut values = BTreeMap::new();
    for _ in 0..read_u64(source)? {
        let key = read_bytes(source, FIELD_BYTES)?;
        let version = if format == KV_FORMAT {
            FIRST_VERSION
        } else {
            read_u64(source)?
        };
        let value = read_bytes(source, FIELD_BYTES)?;
        if values
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(Error::new("snapshot has its keys out of order"));
        }
        values.insert(key, Versioned { version, value });
    }
    Ok(values)
}
