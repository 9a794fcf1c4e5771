//! The log against a model: whatever is done, and whenever the power goes, what was acknowledged
//! is there, and what was not is there whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_driver::{Floor, Log, LogReader, Recovered, Write, WriteKind};
use coracle_log::{Fault, MemoryDisk, Options, Reader, Store};
use coracle_proto::{Entry, GroupId, HardState, Index, LogId, Term};
use proptest::prelude::*;

use crate::fixture::{append, applied, compact, entry, host, install, options, remove, vote};

#[derive(Debug, Clone, PartialEq)]
struct Group {
    born: Index,
    hard_state: HardState,
    floor: Floor,
    entries: BTreeMap<Index, Entry>,
    applied: Index,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    groups: BTreeMap<GroupId, Group>,
    removed: BTreeMap<GroupId, Index>,
    term: Term,
}

/// What is done to one group; numbers are taken modulo what is possible.
#[derive(Debug, Clone)]
enum Step {
    Append { back: u64, count: u64, len: usize },
    Vote,
    Compact { up: u64 },
    Install { up: u64, truncate: bool },
    Applied { index: Index },
    Remove,
}

#[derive(Debug, Clone)]
enum Action {
    Commit(Vec<(u64, Step)>),
    /// At the so-manieth operation from here the power goes, or the process is killed.
    Fails {
        operations: u64,
        power: bool,
    },
    Crash(u64),
    Reopen {
        close: bool,
    },
}

impl Group {
    fn last(&self) -> Index {
        let last = self.entries.keys().last();
        *last.unwrap_or(&self.floor.last.index)
    }

    fn term_at(&self, index: Index) -> Term {
        let term = self.entries.get(&index).map(|entry| entry.term);
        term.unwrap_or(self.floor.last.term)
    }
}

impl Model {
    /// The write that a step means here, and what becomes of the model by it.
    fn write(&mut self, id: u64, step: &Step) -> Write {
        let key = GroupId(id);
        let Some(group) = self.groups.get(&key) else {
            let born = self.removed.get(&key).map_or(0, |born| born + 1);
            let write = host(id, born);
            if let WriteKind::Host { floor, .. } = &write.kind {
                let group = Group {
                    born,
                    hard_state: HardState::default(),
                    floor: floor.clone(),
                    entries: BTreeMap::new(),
                    applied: 0,
                };
                self.groups.insert(key, group);
            }
            return write;
        };
        self.term += 1;
        let write = step_write(group, id, step, self.term);
        self.take(&write);
        write
    }

    fn take(&mut self, write: &Write) {
        let Some(group) = self.groups.get_mut(&write.group) else {
            return;
        };
        match &write.kind {
            WriteKind::Append {
                hard_state,
                entries,
            } => {
                group.hard_state = hard_state.unwrap_or(group.hard_state);
                if let Some(first) = entries.first() {
                    group.entries.retain(|index, _| *index < first.index);
                }
                let new = entries.iter().map(|entry| (entry.index, entry.clone()));
                group.entries.extend(new);
            }
            WriteKind::Compact { floor } => {
                group.entries.retain(|index, _| *index > floor.last.index);
                group.floor = floor.clone();
            }
            WriteKind::Install {
                floor, truncate, ..
            } => {
                let kept = |index: Index| !truncate && index > floor.last.index;
                group.entries.retain(|index, _| kept(*index));
                group.floor = floor.clone();
            }
            WriteKind::Applied { index } => group.applied = group.applied.max(*index),
            WriteKind::Remove => {
                self.removed.insert(write.group, group.born);
                self.groups.remove(&write.group);
            }
            WriteKind::Host { .. } => {}
        }
    }

    /// What a start must find; hints may be older.
    fn check(&self, recovered: &Recovered, reader: &Reader) -> Result<(), String> {
        if recovered.removed != self.removed {
            return Err(format!("removed: {:?}", recovered.removed));
        }
        let found: Vec<_> = recovered.groups.keys().collect();
        if found != self.groups.keys().collect::<Vec<_>>() {
            return Err(format!("hosted: {found:?}"));
        }
        for (id, group) in &self.groups {
            let found = &recovered.groups[id];
            let initial = &found.initial;
            if (found.born, initial.hard_state, &found.floor)
                != (group.born, group.hard_state, &group.floor)
            {
                return Err(format!("{id}: {found:?}"));
            }
            if found.applied > group.applied {
                return Err(format!("{id}: applied {}", found.applied));
            }
            let all = read(reader, *id, initial.floor.index, initial.last)?;
            if all != group.entries.values().cloned().collect::<Vec<_>>() {
                return Err(format!("{id}: entries to {}", initial.last));
            }
            if initial.terms != runs(&all) {
                return Err(format!("{id}: terms {:?}", initial.terms));
            }
        }
        Ok(())
    }
}

fn step_write(group: &Group, id: u64, step: &Step, term: Term) -> Write {
    let (floor, last) = (group.floor.last.index, group.last());
    match step {
        Step::Append { back, count, len } => {
            let first = last + 1 - back % (last - floor + 1);
            let entries = (first..first + count).map(|index| entry(term, index, *len));
            append(id, entries.collect())
        }
        Step::Vote => vote(id, term),
        Step::Compact { up } => {
            let index = floor + up % (last - floor + 1);
            compact(id, group.term_at(index), index)
        }
        Step::Install { up, truncate } => {
            let index = match truncate {
                true => floor + 1 + up,
                false => floor + up % (last - floor + 1),
            };
            install(id, term, index, *truncate)
        }
        Step::Applied { index } => applied(id, *index),
        Step::Remove => remove(id),
    }
}

fn read(reader: &Reader, id: GroupId, floor: Index, last: Index) -> Result<Vec<Entry>, String> {
    if floor == last {
        return Ok(Vec::new());
    }
    reader
        .entries(id, floor + 1, last, usize::MAX)
        .map_err(|error| error.to_string())
}

fn runs(entries: &[Entry]) -> Vec<LogId> {
    let mut runs: Vec<LogId> = Vec::new();
    for entry in entries {
        if runs.last().is_none_or(|run| run.term != entry.term) {
            runs.push(entry.id());
        }
    }
    runs
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..4, 1_u64..6, prop_oneof![Just(0_usize), 1..400_usize, Just(40_000)])
            .prop_map(|(back, count, len)| Step::Append { back, count, len }),
        2 => Just(Step::Vote),
        4 => (0_u64..20).prop_map(|up| Step::Compact { up }),
        1 => (0_u64..9, any::<bool>()).prop_map(|(up, truncate)| Step::Install { up, truncate }),
        1 => (0_u64..20).prop_map(|index| Step::Applied { index }),
        1 => Just(Step::Remove),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => prop::collection::vec((1_u64..5, step()), 1..5).prop_map(Action::Commit),
        2 => (0_u64..40, any::<bool>())
            .prop_map(|(operations, power)| Action::Fails { operations, power }),
        1 => any::<u64>().prop_map(Action::Crash),
        1 => any::<bool>().prop_map(|close| Action::Reopen { close }),
    ]
}

struct World {
    disk: MemoryDisk,
    store: Option<(Store, Reader)>,
    /// What is acknowledged, and what may be there instead.
    model: Model,
    uncertain: Option<Model>,
    /// Whether the next failure is one of the power.
    power: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            disk: MemoryDisk::new(),
            store: None,
            model: Model::default(),
            uncertain: None,
            power: true,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let options = Options {
            garbage_bytes: 2048,
            anchor_commits: 3,
            ..options()
        };
        let disk = Arc::new(self.disk.clone());
        let (store, reader, recovered) = Store::open(disk, options).unwrap();
        let acknowledged = self.model.check(&recovered, &reader);
        if let Err(found) = acknowledged {
            let uncertain = self.uncertain.take();
            let uncertain = uncertain.unwrap_or_else(|| panic!("lost: {found}"));
            if let Err(other) = uncertain.check(&recovered, &reader) {
                panic!("neither before ({found}) nor after ({other})");
            }
            self.model = uncertain;
        }
        self.uncertain = None;
        self.store = Some((store, reader));
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Commit(steps) => self.commit(steps),
            Action::Fails { operations, power } => {
                self.disk.fail_after(*operations, Fault::Crash);
                self.power = *power;
            }
            Action::Crash(seed) => self.crash(*seed),
            Action::Reopen { close } => {
                self.disk.clear_fault();
                let (mut store, _) = self.store.take().unwrap();
                if *close {
                    store.close().unwrap();
                }
                drop(store);
                self.open();
            }
        }
    }

    fn commit(&mut self, steps: &[(u64, Step)]) {
        let mut after = self.model.clone();
        let writes: Vec<_> = steps
            .iter()
            .map(|(group, step)| after.write(*group, step))
            .collect();
        let (store, _) = self.store.as_mut().unwrap();
        match store.commit(&writes) {
            Ok(()) => self.model = after,
            Err(error) => {
                assert!(error.to_string().contains("simulated fault"), "{error}");
                self.uncertain = Some(after);
                match self.power {
                    true => self.crash(steps.len() as u64),
                    false => self.kill(),
                }
            }
        }
    }

    /// What the next start finds in the cache it must also find after a power cut.
    fn kill(&mut self) {
        self.disk.restart();
        self.store = None;
        self.open();
    }

    fn crash(&mut self, seed: u64) {
        self.disk.crash(seed);
        self.store = None;
        self.open();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_acknowledged_is_there(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
        }
        world.crash(1);
    }
}
