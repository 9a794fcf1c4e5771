//! The state as bytes: a header, the number of keys, then each key and value, in order.

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

const MAGIC: &[u8; 8] = b"coraclkv";
const FORMAT: u32 = 1;

/// Bytes of one key or value; the host's limit for a command is far below.
const FIELD_BYTES: usize = 64 << 20;

pub(crate) fn write(
    values: &BTreeMap<Vec<u8>, Vec<u8>>,
    sink: &mut impl Write,
) -> Result<(), Error> {
    write_header(sink, MAGIC, FORMAT)?;
    write_u64(sink, values.len() as u64)?;
    for (key, value) in values {
        write_bytes(sink, key)?;
        write_bytes(sink, value)?;
    }
    Ok(())
}

pub(crate) fn read(source: &mut impl BufRead) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let format = read_header(source, MAGIC)?;
    if format != FORMAT {
        return Err(unknown_format(format));
    }
    let mut values = BTreeMap::new();
    for _ in 0..read_u64(source)? {
        let key = read_bytes(source, FIELD_BYTES)?;
        let value = read_bytes(source, FIELD_BYTES)?;
        if values
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(Error::new("snapshot has its keys out of order"));
        }
        values.insert(key, value);
    }
    Ok(values)
}
