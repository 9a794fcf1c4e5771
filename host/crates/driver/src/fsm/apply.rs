//! One entry at a time. Nothing of the worker changes before an entry is done with, except that the
//! live instance may be gone: an entry that stops half way is simply applied again.

use coracle_proto::{Configuration, Entry, EntryKind, Index};

use super::group::GroupResult;
use super::history::{GuestFailure, Origin, Stop, Trouble, decode, environment};
use super::sessions::Session;
use super::verdict::{Skipped, Verdict};
use super::worker::{Phase, Worker};
use crate::payload::{Body, Group};
use crate::task::{Outcome, Report};
use crate::{Digest, Environment, MachineSpec};

impl Worker {
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), Stop> {
        match entry.kind {
            EntryKind::Noop => self.settle(entry, Vec::new(), None),
            EntryKind::Configuration => {
                self.configuration = configuration(entry)?;
                self.settle(entry, Vec::new(), None);
            }
            EntryKind::Normal => self.apply_normal(entry)?,
        }
        Ok(())
    }

    fn apply_normal(&mut self, entry: &Entry) -> Result<(), Stop> {
        let payload = decode(entry)?;
        let environment = environment(entry.index, &payload, self.time);
        match payload.body {
            Body::Commands(group) => {
                let result = self.apply_group(&environment, &group)?;
                self.remember(entry.index, &group, &result);
                self.due.urgent |= result.failed > 0;
                self.failures += result.failed;
                if result.skipped != Skipped::default() && self.origin.is_some() {
                    self.skips.insert(entry.index, result.skipped);
                }
                self.used = true;
                self.settle_at(entry, &environment, result.verdicts, None);
            }
            Body::Create(spec) => {
                let verdict = self.create(&environment, spec)?;
                self.settle_at(entry, &environment, vec![verdict], None);
            }
            Body::Checkpoint => {
                let spec = self.origin.as_ref().map(|origin| origin.spec.clone());
                let (verdict, digest) = match spec {
                    Some(spec) => self.checkpoint(entry, &environment, &spec)?,
                    None => (self.refusal(), None),
                };
                if let (Some(origin), None) = (&self.origin, &digest) {
                    self.reports.push_back(Report::CheckpointFailed {
                        group: self.group,
                        tail: entry.index.saturating_sub(origin.from),
                    });
                }
                self.settle_at(entry, &environment, vec![verdict], digest.as_ref());
            }
            Body::Activate(spec) => {
                let (verdict, digest) = if self.origin.is_some() {
                    self.activate(entry, &environment, &spec)?
                } else {
                    (self.refusal(), None)
                };
                self.used = true;
                self.settle_at(entry, &environment, vec![verdict], digest.as_ref());
            }
            Body::Restore { image, fresh } => {
                let (verdict, digest) = self.restore(entry, &environment, &image, fresh)?;
                self.settle_at(entry, &environment, vec![verdict], digest.as_ref());
            }
            Body::Retire => {
                self.retire();
                self.settle_at(
                    entry,
                    &environment,
                    vec![Verdict::Applied(Outcome::Done)],
                    None,
                );
            }
        }
        Ok(())
    }

    /// What everything gets while no state machine runs.
    pub(super) fn refusal(&self) -> Verdict {
        match self.phase {
            Phase::Retired => Verdict::Retired,
            _ => Verdict::NotRunning,
        }
    }

    fn create(&mut self, environment: &Environment, spec: MachineSpec) -> Result<Verdict, Stop> {
        match &self.phase {
            Phase::Empty => {}
            Phase::Failed { outcome, .. } => return Ok(Verdict::Applied(outcome.clone())),
            Phase::Retired => return Ok(Verdict::Retired),
            Phase::Running | Phase::Halted { .. } => return Ok(Verdict::Applied(Outcome::Done)),
        }
        let origin = Origin {
            spec,
            environment: *environment,
            snapshot: None,
            from: environment.index,
            time: environment.time,
        };
        match origin.start(&self.context, self.group, false) {
            Ok((instance, _)) => {
                self.live = Some(instance);
                self.origin = Some(origin);
                self.phase = Phase::Running;
                Ok(Verdict::Applied(Outcome::Done))
            }
            Err(Trouble::Stop(stop)) => Err(stop),
            Err(Trouble::Guest(failure)) => {
                let outcome = outcome_of(&failure);
                self.phase = Phase::Failed {
                    outcome: outcome.clone(),
                    reason: describe(&failure),
                };
                Ok(Verdict::Applied(outcome))
            }
        }
    }

    fn retire(&mut self) {
        self.phase = Phase::Retired;
        self.origin = None;
        self.live = None;
        self.skips.clear();
    }

    fn remember(&mut self, index: Index, group: &Group, result: &GroupResult) {
        for (header, verdict) in group.headers().iter().zip(&result.verdicts) {
            let Some(key) = header.key else { continue };
            if let (Verdict::Applied(outcome), Some((body, _))) = (verdict, result.keys.get(&key)) {
                let forgotten = self.sessions.insert(Session {
                    key,
                    body: *body,
                    index,
                    outcome: outcome.clone(),
                });
                self.totals.forgotten += forgotten as u64;
            }
        }
    }

    fn settle_at(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        verdicts: Vec<Verdict>,
        state: Option<&Digest>,
    ) {
        self.time = environment.time;
        self.settle(entry, verdicts, state);
    }

    /// The entry is done with.
    fn settle(&mut self, entry: &Entry, verdicts: Vec<Verdict>, state: Option<&Digest>) {
        self.chain.push(entry.index, &verdicts, state);
        self.totals.count(&verdicts);
        self.applied = entry.index;
        if let Some(instance) = &mut self.live {
            let fuel = instance.machine.fuel_used();
            self.totals.fuel += fuel.saturating_sub(instance.fuel);
            instance.fuel = fuel;
            instance.at = entry.index;
            instance.time = self.time;
        }
        self.due.entries += 1;
        self.due.bytes += entry.payload.len() as u64;
        self.answer(entry.id(), verdicts);
    }
}

/// The replicated form of a failed call of a host entry.
pub(super) fn outcome_of(failure: &GuestFailure) -> Outcome {
    Outcome::HostEntryFailed {
        call: failure.call.into(),
        class: failure.class,
        message: failure.message.clone(),
    }
}

fn describe(failure: &GuestFailure) -> String {
    match failure.class {
        Some(class) => format!("{} failed: {class}", failure.call),
        None => format!("{} refused: {}", failure.call, failure.detail),
    }
}

fn configuration(entry: &Entry) -> Result<Configuration, Stop> {
    let index = entry.index;
    let configuration = Configuration::decode(&entry.payload)
        .map_err(|error| Stop::Host(format!("entry {index}: {error}")))?;
    Ok(Configuration {
        index,
        ..configuration
    })
}
