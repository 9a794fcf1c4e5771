//! A plugin that misbehaves on purpose, for tests of the host.
//!
//! Every command counts itself before it does what its name says, so that the query `count` shows
//! whether a failed one left an effect.
//!
//! | command | what it does |
//! |---|---|
//! | `ok` | answers `ok` |
//! | `refuse` | is refused, without an effect |
//! | `panic` | panics |
//! | `spin` | never ends |
//! | `alloc` | takes memory without end |
//! | `recurse` | recurses without end, each call with a frame on the shadow stack |
//! | `recurse-bare` | recurses without end, using no memory at all |
//! | `large` | answers 2 MiB, well-formed |
//! | `giant` | answers 2 GiB that are not there |
//! | `miscount` | answers no outcome for the whole group |
//! | `time`, `clock` | answers the environment's time; that of `std` |
//! | `random`, `hash` | answers 16 random bytes in hex; the order of a `std` hash set |
//! | `log` | writes a line into the host's log, prints another, and answers `ok` |
//!
//! Queries: `ok`, `count`. A setting with the value `true` does this: `start-spin` (in `init`),
//! `init-err`, `snapshot-trap`, `snapshot-endless`, `restore-trap`, `query-trap`, `query-spin`.
//! There are no settings when `describe` is called; the plugin `hostile-describe-trap` traps there.

#[cfg(target_family = "wasm")]
mod exports; // the contract, broken
mod misdeed; // what never ends well
mod probe; // what a machine sees of the world

use std::io::{BufRead, Write};

use coracle_guest::{
    Environment, Error, Raw, StateMachine,
    state::{read_header, read_u64, unknown_format, write_header, write_u64},
};

const MAGIC: &[u8; 8] = b"hostile\0";
const FORMAT: u32 = 1;

/// Bytes of the answer to `large`; the host's default limit is 1 MiB.
const LARGE_BYTES: usize = 2 << 20;

/// Counts the commands that succeeded.
#[derive(Debug)]
pub struct Hostile {
    count: u64,
}

impl StateMachine for Hostile {
    const NAME: &'static str = "hostile";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Format = Raw;
    type Command<'a> = &'a [u8];
    type Query<'a> = &'a [u8];
    type Reply = Vec<u8>;
    type Answer = Vec<u8>;
    type Refusal = String;

    fn init(environment: &Environment) -> Result<Self, Error> {
        if is_on(environment, "start-spin") {
            misdeed::spin();
        }
        if is_on(environment, "init-err") {
            return Err(Error::new("hostile was told to refuse its start"));
        }
        Ok(Self { count: 0 })
    }

    fn apply(&mut self, environment: &Environment, command: &[u8]) -> Result<Vec<u8>, String> {
        self.count += 1;
        match command {
            b"ok" => Ok(b"ok".to_vec()),
            b"panic" => panic!("hostile was told to panic"),
            b"spin" => misdeed::spin(),
            b"alloc" => misdeed::alloc(),
            b"recurse" => Ok(misdeed::recurse(self.count).to_string().into()),
            b"recurse-bare" => Ok(misdeed::recurse_bare(self.count).to_string().into()),
            b"large" => Ok(vec![b'x'; LARGE_BYTES]),
            b"time" => Ok(environment.time().to_string().into()),
            b"clock" => Ok(probe::clock().into()),
            b"random" => Ok(probe::random(environment).into()),
            b"hash" => Ok(probe::hash_order().into()),
            b"log" => {
                probe::write_log(environment);
                Ok(b"ok".to_vec())
            }
            _ => {
                self.count -= 1;
                Err(match command {
                    b"refuse" => "hostile was told to refuse".to_owned(),
                    _ => format!("unknown command \"{}\"", command.escape_ascii()),
                })
            }
        }
    }

    fn query(&self, environment: &Environment, query: &[u8]) -> Result<Vec<u8>, String> {
        if is_on(environment, "query-trap") {
            panic!("hostile was told to panic in a query");
        }
        if is_on(environment, "query-spin") {
            misdeed::spin();
        }
        match query {
            b"ok" => Ok(b"ok".to_vec()),
            b"count" => Ok(self.count.to_string().into()),
            _ => Err(format!("unknown query \"{}\"", query.escape_ascii())),
        }
    }

    fn snapshot(&self, environment: &Environment, sink: &mut impl Write) -> Result<(), Error> {
        if is_on(environment, "snapshot-trap") {
            panic!("hostile was told to panic in a snapshot");
        }
        write_header(sink, MAGIC, FORMAT)?;
        write_u64(sink, self.count)?;
        while is_on(environment, "snapshot-endless") {
            sink.write_all(&[b'x'; 4096])?;
        }
        Ok(())
    }

    fn restore(environment: &Environment, source: &mut impl BufRead) -> Result<Self, Error> {
        if is_on(environment, "restore-trap") {
            panic!("hostile was told to panic in a restore");
        }
        let format = read_header(source, MAGIC)?;
        if format != FORMAT {
            return Err(unknown_format(format));
        }
        Ok(Self {
            count: read_u64(source)?,
        })
    }
}

fn is_on(environment: &Environment, setting: &str) -> bool {
    environment
        .config(setting)
        .is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests;
