//! Where an instance comes from and how to get there again.

use std::io;

use coracle_proto::{Entry, EntryKind, GroupId, Index};

use super::options::{MAX_MESSAGE_BYTES, READ_BYTES, WorkerContext};
use super::state_file::StateSource;
use super::verdict::{SkipList, Skipped};
use crate::payload::{self, Body, Group, Payload, frame_of};
use crate::{
    Digest, Environment, FailureClass, Fault, LogError, Machine, MachineSpec, SnapshotError,
    SnapshotRef,
};

/// How a history begins. The rest of it are the entries above `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// What runs.
    pub(super) spec: MachineSpec,
    /// What `init` or `restore` sees.
    pub(super) environment: Environment,
    /// What is restored; `None`: `init`.
    pub(super) snapshot: Option<SnapshotRef>,
    /// The entry after which the tail begins.
    pub(super) from: Index,
    /// Time of the group as of `from`.
    pub(super) time: u64,
}

/// A running instance and how far it has come.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) machine: Box<dyn Machine>,
    pub(super) at: Index,
    pub(super) time: u64,
    /// Fuel it had used when it was last asked.
    pub(super) fuel: u64,
}

/// Why something did not happen.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The guest's doing: the same on every replica.
    Guest(GuestFailure),
    /// This node's.
    Stop(Stop),
}

/// A failed call to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuestFailure {
    pub(super) call: &'static str,
    /// `None`: the guest returned an error of its own.
    pub(super) class: Option<FailureClass>,
    /// The guest's own error.
    pub(super) message: Vec<u8>,
    /// For people.
    pub(super) detail: String,
}

/// Why this replica cannot go on now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Until this plugin is here.
    PluginMissing(Digest),
    /// Entries or a snapshot file are gone or damaged: another snapshot must come.
    Gone(String),
    /// Until there is room on the disk.
    NoRoom(String),
    /// For good.
    Host(String),
    /// For good, and with it the node: its log is damaged.
    Log(String),
}

impl Trouble {
    pub(super) fn of(call: &'static str, fault: Fault) -> Self {
        match fault {
            Fault::Refused(mut message) => {
                message.truncate(MAX_MESSAGE_BYTES);
                Self::Guest(GuestFailure {
                    call,
                    class: None,
                    detail: String::from_utf8_lossy(&message).into_owned(),
                    message,
                })
            }
            Fault::Failed { class, detail } => Self::Guest(GuestFailure {
                call,
                class: Some(class),
                message: Vec::new(),
                detail,
            }),
            Fault::Host(reason) => Self::Stop(Stop::Host(format!("{call}: {reason}"))),
        }
    }

    /// In a place where the guest has done the same before and cannot fail now.
    pub(super) fn unexpected(self, at: Index) -> Stop {
        match self {
            Self::Stop(stop) => stop,
            Self::Guest(failure) => Stop::Host(format!(
                "rebuild at index {at} differs: {} failed: {} {:?}",
                failure.call, failure.detail, failure.class
            )),
        }
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Compacted { .. } => Self::Gone(error.to_string()),
            error => Self::Log(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Stop {
    fn from(error: SnapshotError) -> Self {
        match &error {
            SnapshotError::Missing { .. } | SnapshotError::Damaged { .. } => {
                Self::Gone(error.to_string())
            }
            SnapshotError::Io { source, .. } if is_full(source) => Self::NoRoom(error.to_string()),
            SnapshotError::Io { .. } => Self::Host(error.to_string()),
        }
    }
}

impl Origin {
    /// A fresh instance, and the digest of the state it was restored from.
    pub(super) fn start(
        &self,
        context: &WorkerContext,
        group: GroupId,
        slack: bool,
    ) -> Result<(Instance, Option<Digest>), Trouble> {
        let plugin = self.spec.plugin;
        if !context.machines.has(&plugin) {
            return Err(Stop::PluginMissing(plugin).into());
        }
        let mut source = match &self.snapshot {
            Some(snapshot) => Some(StateSource::open(context, group, snapshot)?),
            None => None,
        };
        let call = if source.is_some() { "restore" } else { "init" };
        let started = context.machines.start(
            &self.spec,
            &self.environment,
            source.as_mut().map(|source| source as _),
            slack,
        );
        // What the guest made of a file that could not be read says nothing.
        if let Some(error) = source.as_mut().and_then(|source| source.failed.take()) {
            return Err(Stop::from(error).into());
        }
        let machine = started.map_err(|fault| Trouble::of(call, fault))?;
        let digest = source.map(StateSource::finish).transpose()?;
        let instance = Instance {
            machine,
            at: self.from,
            time: self.time,
            fuel: 0,
        };
        Ok((instance, digest))
    }
}

impl Instance {
    /// Repeats the entries after `at` up to `through`, with the verdicts of the first time.
    pub(super) fn replay(
        &mut self,
        context: &WorkerContext,
        group: GroupId,
        through: Index,
        skips: &SkipList,
    ) -> Result<(), Trouble> {
        while self.at < through {
            let entries = context
                .log
                .entries(group, self.at + 1, through, READ_BYTES)
                .map_err(Stop::from)?;
            if entries.is_empty() {
                let reason = format!("log: {group} has no entry {}", self.at + 1);
                return Err(Stop::Gone(reason).into());
            }
            for entry in &entries {
                self.repeat(entry, skips.get(&entry.index))?;
            }
        }
        Ok(())
    }

    fn repeat(&mut self, entry: &Entry, skipped: Option<&Skipped>) -> Result<(), Trouble> {
        if entry.kind == EntryKind::Normal {
            let payload = decode(entry)?;
            let environment = environment(entry.index, &payload, self.time);
            self.time = environment.time;
            if let Body::Commands(group) = &payload.body {
                self.repeat_group(&environment, group, skipped)?;
            }
        }
        self.at = entry.index;
        Ok(())
    }

    fn repeat_group(
        &mut self,
        environment: &Environment,
        group: &Group,
        skipped: Option<&Skipped>,
    ) -> Result<(), Trouble> {
        let Some(skipped) = skipped else {
            return self.call(environment, group.frame());
        };
        let ordinals: Vec<_> = (0..group.len())
            .filter(|ordinal| skipped.left_out.binary_search(ordinal).is_err())
            .collect();
        if skipped.one_by_one {
            return ordinals.iter().try_for_each(|&ordinal| {
                self.call(environment, &frame_of([group.body(ordinal)].into_iter()))
            });
        }
        if ordinals.is_empty() {
            return Ok(());
        }
        self.call(environment, &group.frame_of(&ordinals))
    }

    fn call(&mut self, environment: &Environment, frame: &[u8]) -> Result<(), Trouble> {
        match self.machine.apply(environment, frame) {
            Ok(_) => Ok(()),
            Err(fault) => Err(Trouble::of("apply", fault)),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// Decodes an entry of kind `Normal`.
pub(super) fn decode(entry: &Entry) -> Result<Payload, Stop> {
    payload::decode(&entry.payload)
        .map_err(|error| Stop::Host(format!("entry {}: {error}", entry.index)))
}

/// What a call for this entry sees: time never goes back, whatever a leader stamped.
pub(super) fn environment(index: Index, payload: &Payload, last_time: u64) -> Environment {
    Environment {
        index,
        time: payload.time.max(last_time),
        seed: payload.seed,
    }
}
