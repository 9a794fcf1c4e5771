//! A small key-value machine without a sandbox, and with every kind of failure on demand: for the
//! simulator and the tests of this crate.
//!
//! Commands: `put KEY VALUE`, `get KEY`, `del KEY`, `cas KEY OLD NEW`, `add KEY NUMBER`, `append KEY
//! VALUE`, `time`, `random`; failing: `trap`, `fuel`, `memory`, `stack`, `miscount`, `host-fault`, `trap-in-group`
//! (only if it is not alone). Queries: `get KEY`, `len`, `time`, `history` (a digest of all that
//! this instance went through), `trap`, `fuel`. Settings: `init=refuse|trap`,
//! `snapshot=refuse|trap|host-fault`, `restore=refuse|trap`, `apply=trap`, `version=TEXT` (a prefix
//! of what `get` answers).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::outcomes::encode_outcomes;
use crate::{
    Digest, Environment, FailureClass, Fault, Machine, MachineSpec, Machines, Reply, Sink, Source,
};

/// Bytes of state read or written at once.
const CHUNK: usize = 16 << 10;

/// Makes [`NativeKv`] instances, for the plugins it is told to have.
#[derive(Debug, Default)]
pub struct NativeKvs {
    absent: std::sync::Mutex<Vec<Digest>>,
}

impl NativeKvs {
    /// Has every plugin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it has this plugin from now on.
    pub fn set_present(&self, plugin: Digest, present: bool) {
        let mut absent = self.absent();
        absent.retain(|other| *other != plugin);
        if !present {
            absent.push(plugin);
        }
    }

    fn absent(&self) -> std::sync::MutexGuard<'_, Vec<Digest>> {
        self.absent
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One instance.
#[derive(Debug)]
pub struct NativeKv {
    map: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    /// Everything this instance went through, one after the other.
    history: [u8; 32],
    fuel: u64,
    poisoned: bool,
    slack: bool,
}

impl Machines for NativeKvs {
    fn has(&self, plugin: &Digest) -> bool {
        !self.absent().contains(plugin)
    }

    fn start(
        &self,
        spec: &MachineSpec,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Box<dyn Machine>, Fault> {
        let mut machine = NativeKv {
            map: BTreeMap::new(),
            settings: spec.config.iter().cloned().collect(),
            history: [0; 32],
            fuel: 0,
            poisoned: false,
            slack,
        };
        match source {
            Some(source) => {
                machine.fail_if_set("restore")?;
                let state = read_all(source)?;
                machine.went_through(environment, &state);
                machine.map = postcard::from_bytes(&state)
                    .map_err(|error| Fault::Refused(error.to_string().into_bytes()))?;
            }
            None => {
                machine.fail_if_set("init")?;
                machine.went_through(environment, b"init");
            }
        }
        Ok(Box::new(machine))
    }
}

impl Machine for NativeKv {
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        self.usable()?;
        self.poisoned = true;
        if !self.slack {
            self.fail_if_set("apply")?;
        }
        self.went_through(environment, frame);
        let commands = split(frame).ok_or_else(|| Fault::Host("a malformed frame".into()))?;
        let alone = commands.len() == 1;
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            let text = std::str::from_utf8(command).unwrap_or("not utf-8");
            if text == "miscount" {
                replies.push(Reply::Ok(Vec::new()));
            }
            replies.push(self.command(environment, text, alone)?);
        }
        self.fuel += replies.len() as u64;
        self.poisoned = false;
        Ok(encode_outcomes(&replies))
    }

    fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        self.usable()?;
        let text = std::str::from_utf8(request).unwrap_or("not utf-8");
        let answer = match text.split(' ').collect::<Vec<_>>()[..] {
            ["get", key] => return Ok(self.get(key)),
            ["len"] => self.map.len().to_string(),
            ["time"] => environment.time.to_string(),
            ["history"] => Digest(self.history).to_string(),
            ["trap"] => return Err(self.fail(FailureClass::Trap)),
            ["fuel"] => return Err(self.fail(FailureClass::Fuel)),
            _ => return Ok(Reply::Refused(b"unknown query".to_vec())),
        };
        Ok(Reply::Ok(answer.into_bytes()))
    }

    fn snapshot(&mut self, environment: &Environment, sink: &mut dyn Sink) -> Result<(), Fault> {
        self.usable()?;
        // As a guest's allocator would remember it.
        self.went_through(environment, b"snapshot");
        let state = postcard::to_stdvec(&self.map).expect("invariant: plain data encodes");
        let (first, second) = state.split_at(state.len() / 2);
        // As a guest that does not come back from the call.
        self.poisoned = true;
        write_all(sink, first)?;
        self.fail_if_set("snapshot")?;
        write_all(sink, second)?;
        self.poisoned = false;
        Ok(())
    }

    fn fuel_used(&self) -> u64 {
        self.fuel
    }
}

impl NativeKv {
    fn command(
        &mut self,
        environment: &Environment,
        text: &str,
        alone: bool,
    ) -> Result<Reply, Fault> {
        let ok = |text: String| Ok(Reply::Ok(text.into_bytes()));
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["put", key, value] => {
                self.map.insert(key.into(), value.into());
                ok(String::new())
            }
            ["append", key, value] => {
                let old = self.map.entry(key.into()).or_default();
                old.push_str(value);
                ok(old.clone())
            }
            ["add", key, number] => self.add(key, number),
            ["cas", key, old, new] => Ok(self.cas(key, old, new)),
            ["get", key] => Ok(self.get(key)),
            ["del", key] => Ok(match self.map.remove(key) {
                Some(_) => Reply::Ok(Vec::new()),
                None => Reply::Refused(b"no such key".to_vec()),
            }),
            ["time"] => ok(environment.time.to_string()),
            ["random"] => ok(Digest(environment.seed).to_string()),
            ["miscount"] => ok(String::new()),
            ["trap"] => Err(self.fail(FailureClass::Trap)),
            ["trap-in-group"] if !alone => Err(self.fail(FailureClass::Trap)),
            ["trap-in-group"] => ok("alone".into()),
            ["fuel"] => Err(self.fail(FailureClass::Fuel)),
            ["memory"] => Err(self.fail(FailureClass::Memory)),
            ["stack"] => Err(self.fail(FailureClass::Stack)),
            ["host-fault"] => Err(Fault::Host("asked for".into())),
            _ => Ok(Reply::Refused(b"unknown command".to_vec())),
        }
    }

    fn cas(&mut self, key: &str, old: &str, new: &str) -> Reply {
        match self.map.get_mut(key) {
            Some(value) if value == old => {
                new.clone_into(value);
                Reply::Ok(Vec::new())
            }
            Some(_) => Reply::Refused(b"cas failed".to_vec()),
            None => Reply::Refused(b"no such key".to_vec()),
        }
    }

    fn get(&self, key: &str) -> Reply {
        let version = self.settings.get("version").map_or("", String::as_str);
        match self.map.get(key) {
            Some(value) => Reply::Ok(format!("{version}{value}").into_bytes()),
            None => Reply::Refused(b"no such key".to_vec()),
        }
    }

    fn add(&mut self, key: &str, number: &str) -> Result<Reply, Fault> {
        let old = self.map.get(key).map_or(Ok(0), |old| old.parse::<i64>());
        let (Ok(old), Ok(number)) = (old, number.parse::<i64>()) else {
            return Ok(Reply::Refused(b"not a number".to_vec()));
        };
        let sum = old.wrapping_add(number).to_string();
        self.map.insert(key.into(), sum.clone());
        Ok(Reply::Ok(sum.into_bytes()))
    }

    fn went_through(&mut self, environment: &Environment, what: &[u8]) {
        let mut hasher = Sha256::new();
        hasher.update(self.history);
        hasher.update(environment.index.to_le_bytes());
        hasher.update(environment.time.to_le_bytes());
        hasher.update(environment.seed);
        hasher.update(what);
        self.history = hasher.finalize().into();
    }

    fn usable(&self) -> Result<(), Fault> {
        if self.poisoned {
            return Err(Fault::Host("a poisoned instance was called".into()));
        }
        Ok(())
    }

    fn fail(&mut self, class: FailureClass) -> Fault {
        self.poisoned = true;
        Fault::Failed {
            class,
            detail: "asked for".into(),
        }
    }

    fn fail_if_set(&mut self, call: &str) -> Result<(), Fault> {
        match self.settings.get(call).map(String::as_str) {
            Some("refuse") => Err(Fault::Refused(b"asked for".to_vec())),
            Some("host-fault") => Err(Fault::Host("asked for".into())),
            Some(_) => Err(self.fail(FailureClass::Trap)),
            None => Ok(()),
        }
    }
}

/// The commands of a frame.
pub(crate) fn split(frame: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = frame.split_first_chunk()?;
    let mut commands = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (len, after) = rest.split_first_chunk()?;
        let (command, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        commands.push(command);
        rest = after;
    }
    Some(commands)
}

/// All of a source.
pub(crate) fn read_all(source: &mut dyn Source) -> Result<Vec<u8>, Fault> {
    let mut state = Vec::new();
    loop {
        let chunk = source.read(CHUNK).map_err(Fault::Host)?;
        if chunk.is_empty() {
            return Ok(state);
        }
        state.extend(chunk);
    }
}

/// All of this into a sink.
pub(crate) fn write_all(sink: &mut dyn Sink, state: &[u8]) -> Result<(), Fault> {
    state
        .chunks(CHUNK)
        .try_for_each(|chunk| sink.write(chunk).map_err(Fault::Host))
}
