//! The text of a command.

use crate::USAGE;

/// Bytes of a key or value that a refusal shows.
const SHOWN_BYTES: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Del {
        key: &'a [u8],
    },
    Cas {
        key: &'a [u8],
        old: &'a [u8],
        new: &'a [u8],
    },
    Read(Read<'a>),
}

/// What changes nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    Get { key: &'a [u8] },
    Scan(Scan<'a>),
}

/// `None` is no bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan<'a> {
    pub(crate) from: Option<&'a [u8]>,
    pub(crate) to: Option<&'a [u8]>,
    pub(crate) count: usize,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let (verb, rest) = word(line);
        let fields = Fields { verb, rest };
        match verb {
            b"put" => {
                let ([key], value) = fields.words_then_rest("KEY VALUE")?;
                Ok(Self::Put { key, value })
            }
            b"get" => {
                let [key] = fields.words("KEY")?;
                Ok(Self::Read(Read::Get { key }))
            }
            b"del" => {
                let [key] = fields.words("KEY")?;
                Ok(Self::Del { key })
            }
            b"cas" => {
                let ([key, old], new) = fields.words_then_rest("KEY OLD NEW")?;
                Ok(Self::Cas { key, old, new })
            }
            b"scan" => {
                Scan::parse(fields.words("FROM TO N")?).map(|scan| Self::Read(Read::Scan(scan)))
            }
            _ => Err(format!("unknown command {}: {USAGE}", shown(verb))),
        }
    }
}

impl<'a> Scan<'a> {
    fn parse([from, to, count]: [&'a [u8]; 3]) -> Result<Self, String> {
        let bound = |word| (word != b"*").then_some(word);
        let (from, to) = (bound(from), bound(to));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(format!("scan from {} is after {}", shown(from), shown(to)));
        }
        let count = std::str::from_utf8(count)
            .ok()
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| format!("scan takes a number of keys, not {}", shown(count)))?;
        Ok(Self { from, to, count })
    }
}

struct Fields<'a> {
    verb: &'a [u8],
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// Exactly N words.
    fn words<const N: usize>(self, takes: &str) -> Result<[&'a [u8]; N], String> {
        let mut rest = self.rest;
        let words = take_words(&mut rest).filter(|_| rest.is_none());
        words.ok_or_else(|| self.takes(takes))
    }

    /// N words, a space, and all that follows, which may be empty.
    fn words_then_rest<const N: usize>(
        self,
        takes: &str,
    ) -> Result<([&'a [u8]; N], &'a [u8]), String> {
        let mut rest = self.rest;
        let words = take_words(&mut rest);
        words.zip(rest).ok_or_else(|| self.takes(takes))
    }

    fn takes(&self, takes: &str) -> String {
        format!("{} takes {takes}", self.verb.escape_ascii())
    }
}

fn take_words<'a, const N: usize>(rest: &mut Option<&'a [u8]>) -> Option<[&'a [u8]; N]> {
    let mut words = [&b""[..]; N];
    for slot in &mut words {
        let (word, after) = word((*rest)?);
        if word.is_empty() {
            return None;
        }
        (*slot, *rest) = (word, after);
    }
    Some(words)
}

/// The bytes before the first space, and those after it if there is one.
fn word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => (&line[..space], Some(&line[space + 1..])),
        None => (line, None),
    }
}

/// A key or value in a refusal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(head) => format!("\"{}...\" ({} bytes)", head.escape_ascii(), bytes.len()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}

pub(crate) fn cas_failed(key: &[u8], current: &[u8], old: &[u8]) -> String {
    format!(
        "cas failed: {} is {}, not {}",
        shown(key),
        shown(current),
        shown(old)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_the_rest_of_the_line_exactly() {
        let put = |value| Command::Put { key: b"k", value };
        assert_eq!(Command::parse(b"put k v"), Ok(put(b"v")));
        assert_eq!(Command::parse(b"put k  a b "), Ok(put(b" a b ")));
        assert_eq!(Command::parse(b"put k "), Ok(put(b"")));
        assert_eq!(Command::parse(b"put k \xff\n\0"), Ok(put(b"\xff\n\0")));
    }

    #[test]
    fn malformed_commands_say_what_they_take() {
        for (line, refusal) in [
            (&b"put k"[..], "put takes KEY VALUE"),
            (b"put  v", "put takes KEY VALUE"),
            (b"get", "get takes KEY"),
            (b"get a b", "get takes KEY"),
            (b"get a ", "get takes KEY"),
            (b"del", "del takes KEY"),
            (b"cas k old", "cas takes KEY OLD NEW"),
            (b"scan a b", "scan takes FROM TO N"),
            (b"scan a b c d", "scan takes FROM TO N"),
            (b"scan a b c", "scan takes a number of keys, not \"c\""),
            (b"scan b a 1", "scan from \"b\" is after \"a\""),
        ] {
            assert_eq!(
                Command::parse(line),
                Err(refusal.to_owned()),
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn unknown_command_is_named_with_those_there_are() {
        let refusal = Command::parse(b"PUT k v").unwrap_err();
        assert_eq!(refusal, format!("unknown command \"PUT\": {USAGE}"));
    }

    #[test]
    fn long_values_are_cut_in_a_refusal() {
        assert_eq!(shown(b"\"\x01"), r#""\"\x01""#);
        let long = shown(&[b'x'; 100]);
        assert_eq!(long, format!("\"{}...\" (100 bytes)", "x".repeat(64)));
    }
}
