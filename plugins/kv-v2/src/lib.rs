//! The next version of `kv`: the same commands, and each key counts its writes. It restores the
//! snapshots of `kv` as well as its own, so a running fsm can be upgraded to it.
//!
//! `ver KEY` (a query, and a command as well) answers how often the key was written since it was
//! made, or since the upgrade.

// The file of kv itself: a plugin cannot depend on another, whose exports it would have as well.
#[path = "../../kv/src/command.rs"]
mod command;
mod snapshot; // the state as bytes, kv's layout and this one's

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    ops::Bound,
};

use coracle_guest::{Environment, Error, Raw, StateMachine};

use command::{Command, Read, Scan};

const USAGE: &str =
    "put KEY VALUE | get KEY | del KEY | cas KEY OLD NEW | scan FROM TO N | ver KEY";

/// Bytes of a scan's answer, well below the host's default limit for a reply.
const SCAN_BYTES: usize = 512 << 10;

/// The keys with their values and versions.
#[derive(Debug, Default)]
pub struct KvV2 {
    values: BTreeMap<Vec<u8>, Versioned>,
}

/// A value and how often its key was written.
#[derive(Debug)]
struct Versioned {
    version: u64,
    value: Vec<u8>,
}

impl StateMachine for KvV2 {
    const NAME: &'static str = "kv";
    const VERSION: &'static str = "2.0.0";
    type Format = Raw;
    type Command<'a> = &'a [u8];
    type Query<'a> = &'a [u8];
    type Reply = Vec<u8>;
    type Answer = Vec<u8>;
    type Refusal = String;

    fn init(_: &Environment) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn apply(&mut self, environment: &Environment, line: &[u8]) -> Result<Vec<u8>, String> {
        if line.starts_with(b"ver ") {
            return self.query(environment, line);
        }
        match Command::parse(line)? {
            Command::Put { key, value } => self.put(key, value),
            Command::Del { key } => self.del(key)?,
            Command::Cas { key, old, new } => self.cas(key, old, new)?,
            Command::Read(read) => return self.read(read),
        }
        Ok(b"ok".to_vec())
    }

    fn query(&self, _: &Environment, line: &[u8]) -> Result<Vec<u8>, String> {
        if let Some(key) = line.strip_prefix(b"ver ") {
            return Ok(self.get(key)?.version.to_string().into_bytes());
        }
        match Command::parse(line)? {
            Command::Read(read) => self.read(read),
            Command::Put { .. } | Command::Del { .. } | Command::Cas { .. } => {
                Err("a query changes nothing: apply put, del and cas".into())
            }
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

impl KvV2 {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        match self.values.get_mut(key) {
            Some(current) => current.write(value),
            None => {
                let first = Versioned {
                    version: 1,
                    value: value.to_vec(),
                };
                self.values.insert(key.to_vec(), first);
            }
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
        if current.value != old {
            return Err(command::cas_failed(key, &current.value, old));
        }
        current.write(new);
        Ok(())
    }

    fn read(&self, read: Read<'_>) -> Result<Vec<u8>, String> {
        match read {
            Read::Get { key } => Ok(self.get(key)?.value.clone()),
            Read::Scan(scan) => self.scan(scan),
        }
    }

    fn get(&self, key: &[u8]) -> Result<&Versioned, String> {
        self.values.get(key).ok_or_else(|| missing(key))
    }

    fn scan(&self, scan: Scan<'_>) -> Result<Vec<u8>, String> {
        let from = scan.from.map_or(Bound::Unbounded, Bound::Included);
        let to = scan.to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut lines = Vec::new();
        for (key, held) in self.values.range::<[u8], _>((from, to)).take(scan.count) {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(key);
            lines.push(b' ');
            lines.extend_from_slice(&held.value);
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

impl Versioned {
    fn write(&mut self, value: &[u8]) {
        self.version += 1;
        value.clone_into(&mut self.value);
    }
}

fn missing(key: &[u8]) -> String {
    format!("no such key: {}", command::shown(key))
}

coracle_guest::export!(KvV2);

#[cfg(test)]
mod tests;
