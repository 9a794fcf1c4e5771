//! A group of commands: one call; if it fails, one call per command (DESIGN §7.2).

use std::collections::BTreeMap;

use coracle_proto::Index;

use super::history::{Stop, Trouble};
use super::options::MAX_FAILURES;
use super::outcomes::decode_outcomes;
use super::sessions::{Key, body_digest};
use super::verdict::{Skipped, Verdict};
use super::worker::Worker;
use crate::mutant::mutant;
use crate::payload::{Group, frame_of};
use crate::task::Outcome;
use crate::{Digest, Environment, FailureClass, Limits};

/// What became of a group.
#[derive(Debug)]
pub(super) struct GroupResult {
    /// One per command.
    pub(super) verdicts: Vec<Verdict>,
    /// How many failed.
    pub(super) failed: u32,
    /// What a rebuild does.
    pub(super) skipped: Skipped,
    /// The keys that were used for the first time.
    pub(super) keys: Keys,
}

/// Digest of the body and ordinal of the first command with a key.
pub(super) type Keys = BTreeMap<Key, (Digest, usize)>;

/// What is to be done with one command.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Call,
    Cut(Verdict),
    /// It repeats an earlier one of the same group.
    Same(usize),
}

/// What the calls made of each command of the group; `None`: it was in no call.
type Outcomes = Vec<Option<Verdict>>;

impl Worker {
    pub(super) fn apply_group(
        &mut self,
        environment: &Environment,
        group: &Group,
    ) -> Result<GroupResult, Stop> {
        let (plans, keys) = self.plan(group);
        let calls: Vec<usize> = (0..plans.len())
            .filter(|&ordinal| plans[ordinal] == Plan::Call)
            .collect();
        let (outcomes, one_by_one) = self.call_group(environment, group, &calls)?;
        let mut result = conclude(plans, outcomes, one_by_one, environment.index);
        result.keys = keys;
        Ok(result)
    }

    /// Decides what is called, from the replicated state alone.
    fn plan(&self, group: &Group) -> (Vec<Plan>, Keys) {
        let mut seen = Keys::new();
        let mut plans = Vec::with_capacity(group.len());
        for (ordinal, header) in group.headers().iter().enumerate() {
            let body = group.body(ordinal);
            let known = header
                .key
                .and_then(|key| self.known(key, body, ordinal, &mut seen));
            plans.push(match (known, self.limits()) {
                (_, None) => Plan::Cut(self.refusal()),
                (Some(plan), _) => plan,
                (None, Some(_)) if self.failures >= MAX_FAILURES => Plan::Cut(Verdict::Suspended),
                (None, Some(limits)) if body.len() as u64 > limits.command_bytes => {
                    Plan::Cut(Verdict::TooLarge {
                        bytes: body.len() as u64,
                        limit: limits.command_bytes,
                    })
                }
                (None, Some(_)) => Plan::Call,
            });
        }
        (plans, seen)
    }

    /// Whether this key was used before, in the table or earlier in this group.
    fn known(&self, key: Key, body: &[u8], ordinal: usize, seen: &mut Keys) -> Option<Plan> {
        let digest = body_digest(body);
        if let Some(session) = self.sessions.get(&key) {
            return Some(Plan::Cut(if session.body == digest {
                Verdict::Replayed {
                    index: session.index,
                    outcome: session.outcome.clone(),
                }
            } else {
                Verdict::KeyReused
            }));
        }
        match seen.get(&key) {
            Some((first, earlier)) if *first == digest => Some(Plan::Same(*earlier)),
            Some(_) => Some(Plan::Cut(Verdict::KeyReused)),
            None => {
                seen.insert(key, (digest, ordinal));
                None
            }
        }
    }

    fn limits(&self) -> Option<&Limits> {
        self.origin.as_ref().map(|origin| &origin.spec.limits)
    }

    fn call_group(
        &mut self,
        environment: &Environment,
        group: &Group,
        calls: &[usize],
    ) -> Result<(Outcomes, bool), Stop> {
        let mut outcomes = vec![None; group.len()];
        if calls.is_empty() {
            return Ok((outcomes, false));
        }
        let frame = if calls.len() == group.len() {
            group.frame().clone()
        } else {
            group.frame_of(calls)
        };
        match (self.call(environment, &frame, calls.len())?, calls) {
            (Ok(all), _) => {
                for (&ordinal, outcome) in calls.iter().zip(all) {
                    outcomes[ordinal] = Some(Verdict::Applied(outcome));
                }
            }
            (Err(class), &[only]) => {
                outcomes[only] = Some(Verdict::Applied(Outcome::Failed(class)));
            }
            (Err(_), _) => return Ok((self.call_one_by_one(environment, group, calls)?, true)),
        }
        Ok((outcomes, false))
    }

    fn call_one_by_one(
        &mut self,
        environment: &Environment,
        group: &Group,
        calls: &[usize],
    ) -> Result<Outcomes, Stop> {
        let mut outcomes = vec![None; group.len()];
        let mut applied: Vec<usize> = Vec::new();
        let mut failures = self.failures;
        for &ordinal in calls {
            if failures >= MAX_FAILURES {
                outcomes[ordinal] = Some(Verdict::Suspended);
                continue;
            }
            self.repeat_applied(environment, group, &applied)?;
            let frame = frame_of([group.body(ordinal)].into_iter());
            let outcome = match self.call(environment, &frame, 1)? {
                Ok(mut one) => {
                    applied.push(ordinal);
                    one.pop().expect("invariant: the count was checked")
                }
                Err(class) => {
                    failures += 1;
                    Outcome::Failed(class)
                }
            };
            outcomes[ordinal] = Some(Verdict::Applied(outcome));
        }
        self.repeat_applied(environment, group, &applied)?;
        Ok(outcomes)
    }

    /// If the instance is gone: the state before the entry, and what of the entry succeeded.
    fn repeat_applied(
        &mut self,
        environment: &Environment,
        group: &Group,
        applied: &[usize],
    ) -> Result<(), Stop> {
        if self.live.is_some() {
            return Ok(());
        }
        self.ensure_live()?;
        for &ordinal in applied {
            let frame = frame_of([group.body(ordinal)].into_iter());
            if let Err(class) = self.call(environment, &frame, 1)? {
                return Err(Stop::Host(format!(
                    "rebuild at index {} differs: command {ordinal} failed: {class:?}",
                    environment.index
                )));
            }
        }
        Ok(())
    }

    /// One call to the live instance, which is gone if it fails.
    fn call(
        &mut self,
        environment: &Environment,
        frame: &[u8],
        commands: usize,
    ) -> Result<Result<Vec<Outcome>, FailureClass>, Stop> {
        let (Some(instance), Some(origin)) = (&mut self.live, &self.origin) else {
            return Err(Stop::Host("no instance to call".into()));
        };
        let failed = match instance.machine.apply(environment, frame) {
            Ok(answer) => match decode_outcomes(&answer, commands, &origin.spec.limits) {
                Ok(outcomes) => return Ok(Ok(outcomes)),
                Err(_) => FailureClass::BadResult,
            },
            Err(fault) => match Trouble::of("apply", fault) {
                Trouble::Stop(stop) => return Err(stop),
                Trouble::Guest(failure) => failure.class.ok_or_else(|| {
                    Stop::Host(format!("apply: unclassified error: {}", failure.detail))
                })?,
            },
        };
        if !mutant!(TrapKeepsInstance) {
            self.live = None;
        }
        Ok(Err(failed))
    }
}

fn conclude(plans: Vec<Plan>, outcomes: Outcomes, one_by_one: bool, index: Index) -> GroupResult {
    let mut result = GroupResult {
        verdicts: Vec::with_capacity(plans.len()),
        failed: 0,
        skipped: Skipped {
            left_out: Vec::new(),
            one_by_one,
        },
        keys: Keys::new(),
    };
    for (ordinal, (plan, outcome)) in plans.into_iter().zip(outcomes).enumerate() {
        let called = plan == Plan::Call;
        let verdict = match plan {
            Plan::Call => outcome.unwrap_or(Verdict::Suspended),
            Plan::Cut(verdict) => verdict,
            Plan::Same(earlier) => repeated(&result.verdicts[earlier], index),
        };
        let failed = called && matches!(verdict, Verdict::Applied(Outcome::Failed(_)));
        result.failed += u32::from(failed);
        if !called || failed || verdict == Verdict::Suspended {
            result.skipped.left_out.push(ordinal);
        }
        result.verdicts.push(verdict);
    }
    result
}

fn repeated(first: &Verdict, index: Index) -> Verdict {
    match first {
        Verdict::Applied(outcome) => Verdict::Replayed {
            index,
            outcome: outcome.clone(),
        },
        other => other.clone(),
    }
}
