//! A running instance and the calls into it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Func, Resource};

use crate::Limits;
use crate::environment::{Call, Environment, Random};
use crate::exchange::{Sink, Source, with_sink, with_source};
use crate::exports::{Answered, Applied, Functions, Started, copied_bytes};
use crate::fault::{Fault, classify};
use crate::frame::{OUTCOME_HEADER, check_outcomes, count_commands};
use crate::imports::{SinkHandle, SourceHandle};
use crate::stage::Plugin;
use crate::store::{Data, Settings};

/// A snapshot may have so many times the bytes of the instance's memory, and one MiB more, so that
/// a guest without state cannot fill disks. Part of the semantics.
const SNAPSHOT_PER_MEMORY: u64 = 4;

/// The guest's answer to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Success.
    Ok(Vec<u8>),
    /// The guest refused it, with a reason of its own.
    Refused(Vec<u8>),
}

impl Plugin {
    /// A fresh instance after `init`, or after `restore` if a source is given. `slack`: a reader
    /// twin, whose limits are wider so that it never fails where the live one did not.
    ///
    /// # Errors
    /// [`Fault`]; a refusal is the guest's own.
    pub fn start(
        &self,
        config: &[(String, String)],
        limits: &Limits,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Instance, Fault> {
        let limits = if slack { limits.slackened() } else { *limits };
        let settings: BTreeMap<_, _> = config
            .iter()
            .map(|(k, v)| (k.clone().into_bytes(), v.clone().into_bytes()))
            .collect();
        let settings = Arc::new(settings);
        match source {
            None => {
                let mut instance = Instance::new(self, limits, settings)?;
                instance.init(environment)?;
                Ok(instance)
            }
            Some(source) => with_source(source, |port| {
                let mut instance = Instance::new(self, limits, settings)?;
                instance.store.data_mut().source = Some(port);
                let restored = instance.restore(environment);
                instance.store.data_mut().source = None;
                restored.map(|()| instance)
            }),
        }
    }
}

/// One running state machine. After a [`Fault`] other than a refusal it is poisoned: every later
/// call is a host fault, and it is only good for being dropped.
///
/// Calls into the guest need a thread with a stack of [`crate::STACK_BYTES`].
pub struct Instance {
    store: Store<Data>,
    functions: Functions,
    limits: Limits,
    fuel_used: u64,
    /// Index of the last entry applied, and how many calls it has had.
    last: (u64, u32),
    poisoned: bool,
}

impl Instance {
    fn new(plugin: &Plugin, limits: Limits, settings: Settings) -> Result<Self, Fault> {
        let (store, functions) = plugin.guest.instantiate(&limits, settings)?;
        Ok(Self {
            store,
            functions,
            limits,
            fuel_used: 0,
            last: (0, 0),
            poisoned: false,
        })
    }

    fn init(&mut self, environment: &Environment) -> Result<(), Fault> {
        // What instantiation left of it.
        let fuel = self.store.get_fuel().map_err(host)?;
        self.begin(
            environment,
            Random::new(environment, Call::Init, 0),
            fuel,
            self.limits.reply_bytes,
        )?;
        let init = self.functions.init;
        let (result,) = self.finish(|store| init.typed::<(), Started>(&*store)?.call(store, ()))?;
        result.map_err(Fault::Refused)
    }

    fn restore(&mut self, environment: &Environment) -> Result<(), Fault> {
        let random = Random::new(environment, Call::Restore, 0);
        self.begin(
            environment,
            random,
            self.state_fuel(),
            self.limits.reply_bytes,
        )?;
        let restore = self.functions.restore;
        let (result,) = self.finish(|store| {
            let source = Resource::<SourceHandle>::new_own(0);
            restore.typed::<_, Started>(&*store)?.call(store, (source,))
        })?;
        result.map_err(Fault::Refused)
    }

    /// Applies a frame of commands (DESIGN 7.1) as one call and returns the frame of outcomes,
    /// checked by [`check_outcomes`].
    ///
    /// # Errors
    /// [`Fault::Failed`] with the class; [`Fault::Host`] also for a malformed frame.
    pub fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        let count = count_commands(frame)?;
        let ordinal = if self.last.0 == environment.index {
            self.last.1
        } else {
            0
        };
        let fuel = self
            .limits
            .command_fuel
            .saturating_mul(u64::from(count.max(1)));
        let reply = self.limits.group_reply_bytes;
        let framing = 4 + u64::from(count) * OUTCOME_HEADER as u64;
        let random = Random::new(environment, Call::Apply, ordinal);
        self.begin(environment, random, fuel, reply.saturating_add(framing))?;
        let outcomes = self.call_bytes(self.functions.apply, frame)?;
        let used = fuel - self.store.get_fuel().map_err(host)?.min(fuel);
        if let Err(fault) = check_outcomes(&outcomes, count, &self.limits) {
            self.poisoned = true;
            return Err(fault);
        }
        self.fuel_used += used;
        self.last = (environment.index, ordinal + 1);
        Ok(outcomes)
    }

    fn call_bytes(&mut self, apply: Func, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        let (outcomes,) = self.finish(|store| {
            apply
                .typed::<(&[u8],), Applied>(&*store)?
                .call(store, (frame,))
        })?;
        Ok(outcomes)
    }

    /// Answers a query. Never on an instance that applies: a query changes its memory. Randomness
    /// is constant, time is that of `environment`.
    ///
    /// # Errors
    /// [`Fault::Failed`] and [`Fault::Host`]; a refusal by the guest is a [`Reply`].
    pub fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        let random = Random::new(&Environment::CONSTANT, Call::Query, 0);
        self.begin(
            environment,
            random,
            self.limits.query_fuel,
            self.limits.reply_bytes,
        )?;
        let query = self.functions.query;
        let (answer,) = self.finish(|store| {
            query
                .typed::<(&[u8],), Answered>(&*store)?
                .call(store, (request,))
        })?;
        Ok(match answer {
            Ok(bytes) => Reply::Ok(bytes),
            Err(bytes) => Reply::Refused(bytes),
        })
    }

    /// Writes the whole state into the sink.
    ///
    /// # Errors
    /// [`Fault`]; too many bytes are `FailureClass::BadResult`, a failing sink is the host's.
    pub fn snapshot(
        &mut self,
        environment: &Environment,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let in_proportion = self.memory_bytes().saturating_mul(SNAPSHOT_PER_MEMORY);
        let limit = self
            .limits
            .snapshot_bytes
            .min(in_proportion.saturating_add(1 << 20));
        with_sink(sink, limit, |port| {
            self.store.data_mut().sink = Some(port);
            let written = self.call_snapshot(environment);
            self.store.data_mut().sink = None;
            written
        })
    }

    fn call_snapshot(&mut self, environment: &Environment) -> Result<(), Fault> {
        let random = Random::new(environment, Call::Snapshot, 0);
        self.begin(
            environment,
            random,
            self.state_fuel(),
            self.limits.snapshot_bytes,
        )?;
        let snapshot = self.functions.snapshot;
        let (result,) = self.finish(|store| {
            let sink = Resource::<SinkHandle>::new_own(0);
            snapshot.typed::<_, Started>(&*store)?.call(store, (sink,))
        })?;
        result.map_err(Fault::Refused)
    }

    /// Fuel used by successful `apply` calls since the start; the same on every replica.
    pub fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// Bytes of linear memory, all memories together.
    pub fn memory_bytes(&self) -> u64 {
        self.store.data().limiter.memory()
    }

    fn state_fuel(&self) -> u64 {
        let mib = self.memory_bytes() >> 20;
        self.limits.state_fuel_per_mib.saturating_mul(mib + 1)
    }

    fn begin(
        &mut self,
        environment: &Environment,
        random: Random,
        fuel: u64,
        copied: u64,
    ) -> Result<(), Fault> {
        if self.poisoned {
            return Err(Fault::Host(
                "the instance is poisoned by an earlier failure".into(),
            ));
        }
        self.store
            .data_mut()
            .begin_call(environment, random, &self.limits);
        self.store.set_hostcall_fuel(copied_bytes(copied));
        self.store.set_fuel(fuel).map_err(host)
    }

    fn finish<T>(
        &mut self,
        call: impl FnOnce(&mut Store<Data>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        call(&mut self.store).map_err(|error| {
            self.poisoned = true;
            classify(&error, self.store.data().limiter.refused())
        })
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("fuel_used", &self.fuel_used)
            .field("memory_bytes", &self.memory_bytes())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

fn host(error: wasmtime::Error) -> Fault {
    Fault::Host(format!("{error:#}"))
}
