//! What happened, as a number (two runs of a seed must agree in it) and, if wanted, as text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Write;

/// The stream of events of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: Fnv,
    events: u64,
    print: bool,
}

/// FNV-1a with 64 bits: the same everywhere, unlike the standard library's hashers.
#[derive(Debug)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Trace {
    /// An empty stream.
    pub(crate) fn new(print: bool) -> Self {
        Self {
            digest: Fnv(0xcbf2_9ce4_8422_2325),
            events: 0,
            print,
        }
    }

    /// Something happened at this time.
    pub(crate) fn note(&mut self, now: u64, what: impl Hash, text: impl FnOnce() -> String) {
        self.events += 1;
        now.hash(&mut self.digest);
        what.hash(&mut self.digest);
        if self.print {
            self.line(now, text());
        }
    }

    /// Text that is no part of the number.
    pub(crate) fn remark(&self, now: u64, text: impl FnOnce() -> String) {
        if self.print {
            self.line(now, text());
        }
    }

    fn line(&self, now: u64, text: impl fmt::Display) {
        let (seconds, micros) = (now / 1_000_000_000, now / 1000 % 1_000_000);
        // A reader that went away is no reason to fail.
        let _ = writeln!(std::io::stdout(), "{seconds:4}.{micros:06} {text}");
    }

    /// The number.
    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// How many events there were.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}
