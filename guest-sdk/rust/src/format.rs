//! How commands and answers become bytes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Reads a `T` from the bytes of a command or query.
pub trait Decode<'a, T> {
    /// The value in exactly these bytes.
    ///
    /// # Errors
    /// They are not a `T`; the command or query is refused.
    fn decode(bytes: &'a [u8]) -> Result<T, Malformed>;
}

/// Writes a `T` as the bytes of an answer.
pub trait Encode<T> {
    /// Appends the value to `out`.
    fn encode(value: &T, out: &mut Vec<u8>);
}

/// The bytes of a command or query are not what the machine's format says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// With a reason.
    pub fn new(why: impl fmt::Display) -> Self {
        Self(format!("malformed: {why}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for String {
    fn from(why: Malformed) -> Self {
        why.0
    }
}

impl From<Malformed> for Vec<u8> {
    fn from(why: Malformed) -> Self {
        why.0.into_bytes()
    }
}

/// Typed commands by serde, compact on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Postcard;

impl Postcard {
    /// The bytes of one value, as a client sends it.
    ///
    /// # Panics
    /// The value's own `Serialize` fails, or it is a sequence of unknown length.
    pub fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        Self::encode(value, &mut out);
        out
    }
}

impl<'a, T: Deserialize<'a>> Decode<'a, T> for Postcard {
    fn decode(bytes: &'a [u8]) -> Result<T, Malformed> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(Malformed::new(format_args!(
                "{} bytes after the end of the value",
                rest.len()
            ))),
            Err(error) => Err(Malformed::new(error)),
        }
    }
}

impl<T: Serialize> Encode<T> for Postcard {
    fn encode(value: &T, out: &mut Vec<u8>) {
        *out = postcard::to_extend(value, std::mem::take(out))
            .expect("an answer's Serialize does not fail");
    }
}

/// What a person types: commands by [`FromStr`], answers by [`Display`](fmt::Display).
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl<T: FromStr<Err: fmt::Display>> Decode<'_, T> for Text {
    fn decode(bytes: &[u8]) -> Result<T, Malformed> {
        std::str::from_utf8(bytes)
            .map_err(Malformed::new)?
            .parse()
            .map_err(Malformed::new)
    }
}

impl<T: fmt::Display> Encode<T> for Text {
    fn encode(value: &T, out: &mut Vec<u8>) {
        use std::io::Write;
        write!(out, "{value}").expect("an answer's Display does not fail");
    }
}

/// Bytes as they are, without a copy. The machine decodes them itself.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

impl<'a> Decode<'a, &'a [u8]> for Raw {
    fn decode(bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        Ok(bytes)
    }
}

impl<T: AsRef<[u8]>> Encode<T> for Raw {
    fn encode(value: &T, out: &mut Vec<u8>) {
        out.extend_from_slice(value.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postcard_refuses_bytes_after_the_value() {
        let mut bytes = Postcard::bytes(&7u32);
        bytes.push(0);
        let refused: Result<u32, _> = Postcard::decode(&bytes);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "malformed: 1 bytes after the end of the value"
        );
    }

    #[test]
    fn postcard_borrows_text_from_the_command() {
        let bytes = Postcard::bytes(&("key", 3u8));
        let (key, count): (&str, u8) = Postcard::decode(&bytes).unwrap();
        assert_eq!((key, count), ("key", 3));
        assert!(bytes.as_ptr_range().contains(&key.as_ptr()));
    }

    #[test]
    fn text_names_what_it_cannot_read() {
        let refused: Result<u64, _> = Text::decode(b"many");
        assert_eq!(
            refused.unwrap_err().to_string(),
            "malformed: invalid digit found in string"
        );
        let refused: Result<String, _> = Text::decode(b"\xff");
        assert!(refused.unwrap_err().to_string().contains("utf-8"));
    }

    #[test]
    fn every_format_appends_to_what_is_there() {
        let mut out = b"1".to_vec();
        Text::encode(&2, &mut out);
        Raw::encode(&"3", &mut out);
        Postcard::encode(&b'4', &mut out);
        assert_eq!(out, b"1234");
    }
}
