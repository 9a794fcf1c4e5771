//! Checkpoints and upgrades: the state goes into a file, and a fresh instance comes out of it.

use coracle_proto::Entry;

use super::apply::outcome_of;
use super::history::{GuestFailure, Origin, Stop, Trouble};
use super::state_file::{StateSink, write_sessions};
use super::verdict::Verdict;
use super::worker::{Due, Worker};
use super::{SessionSummary, SnapshotHeader};
use crate::mutant::mutant;
use crate::task::{Outcome, Report};
use crate::{Digest, Environment, FailureClass, MachineSpec, SnapshotError, SnapshotRef};

/// The verdict of a host entry that did what it says.
pub(super) const DONE: Verdict = Verdict::Applied(Outcome::Done);

/// A verdict, and the digest of the state if it is a checkpoint.
pub(super) type Concluded = (Verdict, Option<Digest>);

impl Worker {
    /// Takes a checkpoint and goes on from it, as `spec`. If anything fails the old history goes
    /// on: the instance is rebuilt, because a call to `snapshot` may have changed it.
    pub(super) fn checkpoint(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
    ) -> Result<Concluded, Stop> {
        let fuel = self.fuel();
        match self.try_checkpoint(entry, environment, spec) {
            Ok(digest) => Ok((DONE, Some(digest))),
            Err(Trouble::Guest(failure)) => Ok(self.keep_old(&failure, fuel)),
            Err(Trouble::Stop(stop)) => Err(stop),
        }
    }

    /// Replaces the state machine.
    pub(super) fn activate(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
    ) -> Result<Concluded, Stop> {
        if !self.context.machines.has(&spec.plugin) {
            return Err(Stop::PluginMissing(spec.plugin));
        }
        let fuel = self.fuel();
        let failure = match self.try_checkpoint(entry, environment, spec) {
            Ok(digest) => return Ok((DONE, Some(digest))),
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(Trouble::Guest(failure)) => failure,
        };
        // Without a checkpoint the new plugin would begin from nothing, and state that was
        // acknowledged would be gone wherever it reads an old command in another way.
        let checkpointed = self
            .origin
            .as_ref()
            .is_some_and(|old| old.snapshot.is_some());
        if failure.call != "snapshot" || !checkpointed {
            return Ok(self.keep_old(&failure, fuel));
        }
        match self.activate_by_tail(environment, spec) {
            Ok(()) => Ok((DONE, None)),
            Err(Trouble::Guest(failure)) => Ok(self.keep_old(&failure, fuel)),
            Err(Trouble::Stop(stop)) => Err(stop),
        }
    }

    fn try_checkpoint(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
    ) -> Result<Digest, Trouble> {
        let snapshot = self.save(entry, environment, spec)?;
        self.begin_from(entry, environment, spec, snapshot)
    }

    /// Goes on from a snapshot of this entry.
    pub(super) fn begin_from(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
        snapshot: SnapshotRef,
    ) -> Result<Digest, Trouble> {
        // Two instances at once would need twice the memory.
        self.live = None;
        let origin = Origin {
            spec: spec.clone(),
            environment: *environment,
            snapshot: Some(snapshot.clone()),
            from: match mutant!(CheckpointAtCommit) {
                true => self.commit,
                false => entry.index,
            },
            time: environment.time,
        };
        let started = origin.start(&self.context, self.group, false);
        if let Err(Trouble::Guest(_)) = &started {
            // What cannot be removed now goes with the next checkpoint.
            let _ = self.context.snapshots.discard(self.group, &snapshot);
        }
        let (instance, digest) = started?;
        let digest = digest.expect("invariant: it was restored from a snapshot");
        self.due = Due {
            fuel: instance.machine.fuel_used(),
            ..Due::default()
        };
        self.live = Some(instance);
        self.origin = Some(origin);
        self.skips.clear();
        self.failures = 0;
        self.snapshot = Some(snapshot.clone());
        self.reports.push_back(Report::Checkpointed {
            group: self.group,
            snapshot,
        });
        Ok(digest)
    }

    /// Writes the file.
    fn save(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
    ) -> Result<SnapshotRef, Trouble> {
        let header = SnapshotHeader {
            group: self.group,
            last: entry.id(),
            configuration: self.configuration.clone(),
            environment: *environment,
            spec: spec.clone(),
            sessions: SessionSummary {
                commands: self.sessions.len() as u64,
            },
            chain: self.chain.clone(),
        };
        let (Some(instance), Some(origin)) = (&mut self.live, &self.origin) else {
            return Err(Stop::Host("no instance to save".into()).into());
        };
        let mut writer = self
            .context
            .snapshots
            .create(self.group, entry.id(), &header.encode())
            .map_err(stop)?;
        write_sessions(writer.as_mut(), &self.sessions)?;
        let mut sink = StateSink::new(writer.as_mut(), origin.spec.limits.snapshot_bytes);
        let saved = instance.machine.snapshot(environment, &mut sink);
        let taken = sink.taken(saved);
        let finished = taken.and_then(|()| writer.finish().map_err(stop));
        if finished.is_err() {
            // A call that other replicas do not know of, if it has not poisoned the instance.
            self.live = None;
        }
        let digest = finished?;
        Ok(SnapshotRef {
            last: entry.id(),
            configuration: header.configuration,
            digest,
        })
    }

    /// The old one cannot be saved: the new one begins where the old one did, and repeats the
    /// tail. Commands that failed stay without effect; if one fails now, the old one goes on.
    fn activate_by_tail(
        &mut self,
        environment: &Environment,
        spec: &MachineSpec,
    ) -> Result<(), Trouble> {
        let Some(old) = &self.origin else {
            return Err(Stop::Host("nothing to replace".into()).into());
        };
        let origin = Origin {
            spec: spec.clone(),
            environment: *environment,
            ..old.clone()
        };
        self.live = None;
        let (mut instance, _) = origin.start(&self.context, self.group, false)?;
        instance.replay(&self.context, self.group, self.applied, &self.skips)?;
        self.attempted(instance.machine.fuel_used());
        self.due.urgent = true;
        self.live = Some(instance);
        self.origin = Some(origin);
        Ok(())
    }

    /// The old history goes on. Its next checkpoint is due after as much again, or a failing one
    /// would be tried at every entry.
    pub(super) fn keep_old(&mut self, failure: &GuestFailure, fuel: u64) -> Concluded {
        self.live = None;
        self.attempted(fuel);
        (Verdict::Applied(outcome_of(failure)), None)
    }

    pub(super) fn fuel(&self) -> u64 {
        let instance = self.live.as_ref();
        instance.map_or(0, |instance| instance.machine.fuel_used())
    }

    /// Begins to count anew until the next checkpoint is due.
    fn attempted(&mut self, fuel: u64) {
        self.due = Due {
            fuel,
            ..Due::default()
        };
    }
}

fn stop(error: SnapshotError) -> Trouble {
    Stop::from(error).into()
}

pub(super) fn overflow(call: &'static str) -> GuestFailure {
    GuestFailure {
        call,
        class: Some(FailureClass::BadResult),
        message: Vec::new(),
        detail: "the snapshot is larger than its limit".into(),
    }
}
