//! An ordered map of keys and values, with commands that a person can type.
//!
//! | command | answer | refused |
//! |---|---|---|
//! | `put KEY VALUE` | `ok` | |
//! | `get KEY` | the value, exactly | no such key |
//! | `del KEY` | `ok` | no such key |
//! | `cas KEY OLD NEW` | `ok` | no such key, another value |
//! | `scan FROM TO N` | up to N lines `KEY VALUE`, from FROM to before TO; `*` is no bound | FROM after TO, too much |
//!
//! A key is one word. `VALUE` and `NEW` are the rest of the line and may hold spaces, or any bytes.
//! `get` and `scan` are queries, and commands as well.

mod command; // the text of a command
mod snapshot; // the state as bytes

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    ops::Bound,
};

use coracle_guest::{Environment, Error, Raw, StateMachine};

use command::{Command, Read, Scan};

const USAGE: &str = "put KEY VALUE | get KEY | del KEY | cas KEY OLD NEW | scan FROM TO N";

/// Bytes of a scan's answer, well below the host's default limit for a reply.
const SCAN_BYTES: usize = 512 << 10;

/// The keys and their values.
#[derive(Debug, Default)]
pub struct Kv {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl StateMachine for Kv {
    const NAME: &'static str = "kv";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Format = Raw;
    type Command<'a> = &'a [u8];
    type Query<'a> = &'a [u8];
    type Reply = Vec<u8>;
    type Answer = Vec<u8>;
    type Refusal = String;

    fn init(_: &Environment) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn apply(&mut self, _: &Environment, line: &[u8]) -> Result<Vec<u8>, String> {
        match Command::parse(line)? {
            Command::Put { key, value } => self.put(key, value),
            Command::Del { key } => self.del(key)?,
            Command::Cas { key, old, new } => self.cas(key, old, new)?,
            Command::Read(read) => return self.read(read),
        }
        Ok(b"ok".to_vec())
    }

    fn query(&self, _: &Environment, line: &[u8]) -> Result<Vec<u8>, String> {
        match Command::parse(line)? {
            Command::Read(read) => self.read(read),
            _ => Err("a query changes nothing: apply put, del and cas".into()),
        }
    }

    fn snapshot(&self, _: &Environment, sink: &mut impl Write) -> Result<(), Error> {
        snapshot::write(&self.values, sink)
    }

    fn restore(_: &Environment, source: &mut impl BufRead) -> Result<Self, Error> {
        Ok(Self {
            values: snapshot::read(source)?,
        })
    }
}

impl Kv {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        if let Some(current) = self.values.get_mut(key) {
            value.clone_into(current);
        } else {
            self.values.insert(key.to_vec(), value.to_vec());
        }
    }

    fn del(&mut self, key: &[u8]) -> Result<(), String> {
        self.values
            .remove(key)
            .map(drop)
            .ok_or_else(|| missing(key))
    }

    fn cas(&mut self, key: &[u8], old: &[u8], new: &[u8]) -> Result<(), String> {
        let current = self.values.get_mut(key).ok_or_else(|| missing(key))?;
        if current != old {
            return Err(command::cas_failed(key, current, old));
        }
        new.clone_into(current);
        Ok(())
    }

    fn read(&self, read: Read<'_>) -> Result<Vec<u8>, String> {
        match read {
            Read::Get { key } => self.values.get(key).cloned().ok_or_else(|| missing(key)),
            Read::Scan(scan) => self.scan(scan),
        }
    }

    fn scan(&self, scan: Scan<'_>) -> Result<Vec<u8>, String> {
        let from = scan.from.map_or(Bound::Unbounded, Bound::Included);
        let to = scan.to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut lines = Vec::new();
        for (key, value) in self.values.range::<[u8], _>((from, to)).take(scan.count) {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(key);
            lines.push(b' ');
            lines.extend_from_slice(value);
            if lines.len() > SCAN_BYTES {
                return Err(format!(
                    "scan answers more than {SCAN_BYTES} bytes: ask for less than {} keys",
                    scan.count
                ));
            }
        }
        Ok(lines)
    }
}

fn missing(key: &[u8]) -> String {
    format!("no such key: {}", command::shown(key))
}

coracle_guest::export!(Kv);

#[cfg(test)]
mod tests;
