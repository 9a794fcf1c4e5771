//! The usual forms of a snapshot: a header, then either one value by serde or fields written one by
//! one, so that a large state is never in memory twice.

use std::io::{BufRead, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// Bytes that cross to the host at a time.
pub const CHUNK_BYTES: usize = 64 << 10;

const SERDE_MAGIC: &[u8; 8] = b"postcard";
const SERDE_FORMAT: u32 = 1;

/// Writes the whole state as one value. Simple; needs its size in memory once more.
///
/// # Errors
/// The sink fails, or the value's own `Serialize`.
pub fn save<T: Serialize>(state: &T, sink: &mut impl Write) -> Result<(), Error> {
    write_header(sink, SERDE_MAGIC, SERDE_FORMAT)?;
    sink.write_all(&postcard::to_stdvec(state)?)?;
    Ok(())
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// The source fails or holds something else.
pub fn load<T: DeserializeOwned>(source: &mut impl BufRead) -> Result<T, Error> {
    let format = read_header(source, SERDE_MAGIC)?;
    if format != SERDE_FORMAT {
        return Err(unknown_format(format));
    }
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes)?;
    match postcard::take_from_bytes(&bytes)? {
        (state, []) => Ok(state),
        (_, rest) => Err(left(rest.len())),
    }
}

/// Writes what kind of state follows, and the version of its layout.
///
/// # Errors
/// The sink fails.
pub fn write_header(sink: &mut impl Write, magic: &[u8; 8], format: u32) -> Result<(), Error> {
    sink.write_all(magic)?;
    sink.write_all(&format.to_le_bytes())?;
    Ok(())
}

/// Reads a header of this kind and answers the version of the layout.
///
/// # Errors
/// The source fails, ends too soon, or holds another kind of state.
pub fn read_header(source: &mut impl Read, magic: &[u8; 8]) -> Result<u32, Error> {
    let found: [u8; 8] = read_array(source)?;
    if found != *magic {
        return Err(Error::new(format!(
            "not a snapshot of this kind: begins with \"{}\", expected \"{}\"",
            found.escape_ascii(),
            magic.escape_ascii()
        )));
    }
    Ok(u32::from_le_bytes(read_array(source)?))
}

/// The error of a layout that this plugin does not know.
pub fn unknown_format(format: u32) -> Error {
    Error::new(format!(
        "snapshot format {format} is unknown to this version of the plugin"
    ))
}

/// Writes a number.
///
/// # Errors
/// The sink fails.
pub fn write_u64(sink: &mut impl Write, value: u64) -> Result<(), Error> {
    Ok(sink.write_all(&value.to_le_bytes())?)
}

/// Reads a number.
///
/// # Errors
/// The source fails or ends too soon.
pub fn read_u64(source: &mut impl Read) -> Result<u64, Error> {
    Ok(u64::from_le_bytes(read_array(source)?))
}

/// Writes a length and the bytes.
///
/// # Errors
/// The sink fails, or there are 4 GiB or more.
pub fn write_bytes(sink: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    sink.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
    Ok(sink.write_all(bytes)?)
}

/// Reads what [`write_bytes`] wrote. A damaged length does not make it allocate more than there is.
///
/// # Errors
/// The source fails, ends too soon, or the length is more than `max`.
pub fn read_bytes(source: &mut impl Read, max: usize) -> Result<Vec<u8>, Error> {
    let length = u32::from_le_bytes(read_array(source)?) as usize;
    if length > max {
        return Err(Error::new(format!(
            "snapshot has a field of {length} bytes, at most {max} are allowed"
        )));
    }
    let mut bytes = Vec::with_capacity(length.min(CHUNK_BYTES));
    source.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(cut());
    }
    Ok(bytes)
}

/// Checks that nothing follows.
///
/// # Errors
/// The source fails, or there are more bytes.
pub fn end(source: &mut impl BufRead) -> Result<(), Error> {
    match source.fill_buf()?.len() {
        0 => Ok(()),
        extra => Err(left(extra)),
    }
}

fn read_array<const N: usize>(source: &mut impl Read) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes).map_err(|_| cut())?;
    Ok(bytes)
}

fn cut() -> Error {
    Error::new("snapshot ends too soon")
}

fn left(extra: usize) -> Error {
    Error::new(format!("snapshot has at least {extra} bytes after its end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_comes_back_as_it_was_saved() {
        let mut bytes = Vec::new();
        save(&vec![(1u8, "one".to_owned())], &mut bytes).unwrap();
        let loaded: Vec<(u8, String)> = load(&mut &bytes[..]).unwrap();
        assert_eq!(loaded, [(1, "one".to_owned())]);
    }

    #[test]
    fn another_kind_and_another_format_are_named() {
        let error = load::<u8>(&mut &b"something else"[..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a snapshot of this kind: begins with \"somethin\", expected \"postcard\""
        );
        let error = load::<u8>(&mut &b"postcard\x09\0\0\0"[..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "snapshot format 9 is unknown to this version of the plugin"
        );
    }

    #[test]
    fn cut_or_extended_state_is_refused() {
        let mut bytes = Vec::new();
        save(&(7u64, "text"), &mut bytes).unwrap();
        for end in 0..bytes.len() {
            assert!(
                load::<(u64, String)>(&mut &bytes[..end]).is_err(),
                "cut at {end}"
            );
        }
        bytes.push(0);
        assert!(load::<(u64, String)>(&mut &bytes[..]).is_err());
    }

    #[test]
    fn damaged_length_neither_allocates_nor_passes() {
        let error = read_bytes(&mut &b"\xff\xff\xff\x7fab"[..], usize::MAX).unwrap_err();
        assert_eq!(error.to_string(), "snapshot ends too soon");
        let error = read_bytes(&mut &b"\x05\0\0\0abcde"[..], 4).unwrap_err();
        assert!(error.to_string().contains("5 bytes, at most 4"), "{error}");
    }
}
