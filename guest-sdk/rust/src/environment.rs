//! What a machine may know of the world.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
use native as platform;
#[cfg(target_family = "wasm")]
use wasm as platform;

/// What a machine may know of the world, the same on every replica: each answer comes from the log
/// entry being applied.
#[derive(Debug)]
pub struct Environment(platform::World);

impl Environment {
    /// Nanoseconds since the Unix epoch, stamped by the leader into the entry; never decreasing.
    pub fn time(&self) -> u64 {
        self.0.time()
    }

    /// Fills `bytes` from a stream seeded by the entry. Constant in queries.
    pub fn random(&self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }

    /// Eight random bytes as a number.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A setting given when the fsm was created. Text that is not UTF-8 reads as none.
    pub fn config(&self, key: &str) -> Option<String> {
        self.0.config(key)
    }

    /// Writes a line for people into the host's log. Not part of the state.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.0.log(level, message.as_ref());
    }
}

/// How much a line in the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Every step.
    Trace,
    /// Decisions.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What an operator must look at.
    Error,
}

#[cfg(target_family = "wasm")]
impl Environment {
    /// The one the host gives to the call that runs now.
    pub(crate) const HOST: Self = Self(wasm::World);
}

#[cfg(not(target_family = "wasm"))]
impl Environment {
    /// For native tests: the Unix epoch, random numbers from seed 0, no settings.
    pub fn test() -> Self {
        Self(native::World::default())
    }

    /// With a setting.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: &str) -> Self {
        self.0.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Moves the clock and starts another stream of random numbers, as the next entry does.
    pub fn enter(&mut self, time: u64, seed: u64) {
        self.0.time = time;
        self.0.stream.set(seed);
    }

    /// The lines written so far.
    pub fn logged(&self) -> Vec<(Level, String)> {
        self.0.lines.borrow().clone()
    }
}
