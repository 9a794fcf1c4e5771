//! What a client asks for next: few keys, much used, for so short a time that their lists stay short.

use coracle_history::{Action, ReadKind};
use coracle_proto::{GroupId, Index, Instant, NodeId, ReadMode};

use super::Client;
use crate::invariants::Invariants;
use crate::plan::MS;

/// For so long all clients use the same keys, in nanoseconds.
const GENERATION: u64 = 3000 * MS;

/// Bounds of staleness that clients ask for, in milliseconds; 0 is none.
const BOUNDS: &[u64] = &[0, 0, 20, 200, 2000];

/// By how much a node's clock may be slow: a bound of its clock is so much more of the world's.
const SLOWEST: (u64, u64) = (20, 19);

/// One operation of a client.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) group: GroupId,
    pub(super) kind: Kind,
    pub(super) key: String,
    pub(super) action: Action,
    /// Its record, unless it is no operation on a key.
    pub(super) id: Option<u64>,
    /// What was answered to anybody when it began.
    pub(super) floor: Index,
    /// It was answered, and is sent once more.
    pub(super) again: bool,
    /// It proves that its group is well.
    pub(super) owed: bool,
    /// Where its query is asked.
    pub(super) node: NodeId,
    /// What a stale query must see.
    pub(super) min_index: Index,
    /// The state was too old: a read point is asked for.
    pub(super) confirm: bool,
    /// The clock of `node` when a read point was asked for.
    pub(super) asked: Instant,
    /// The read point, and when it was asked for.
    pub(super) point: Option<(Index, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With an idempotency key: tried until it is answered.
    Keyed,
    /// Without: sent once.
    Bare,
    /// A query that sees all that was answered before.
    Read(ReadMode),
    /// A query of what a node has, no older than so many nanoseconds.
    Stale {
        bound: Option<u64>,
    },
    Trap,
}

impl Client {
    /// From now on it owes a write and a linearizable read for every group.
    pub(crate) fn must_prove(&mut self, groups: impl Iterator<Item = GroupId>) {
        let both = |group| [Kind::Keyed, Kind::Read(ReadMode::Index)].map(|kind| (group, kind));
        self.owed = groups.flat_map(both).collect();
    }

    /// Whether it owes some of them.
    pub(crate) fn owes(&self) -> bool {
        !self.owed.is_empty() || self.operation.as_ref().is_some_and(|it| it.owed)
    }

    pub(super) fn begin(&mut self, now: u64, invariants: &Invariants) -> Operation {
        self.number += 1;
        let owed = self.owed.pop_front();
        let group = match owed {
            Some((group, _)) => group,
            None => GroupId(self.random.between(1, self.groups)),
        };
        let kind = owed.map_or_else(|| self.kind(), |(_, kind)| kind);
        let letter = *self.random.pick(&['a', 'b', 'c']);
        let key = format!("{letter}{}", now / GENERATION);
        self.values.retain(|(_, other), _| other[1..] == key[1..]);
        let seen = self.seen.get(&group).copied().unwrap_or(0);
        let mut operation = Operation {
            group,
            kind,
            action: Action::Get,
            key,
            id: None,
            floor: invariants.acknowledged_index(group),
            again: false,
            owed: owed.is_some(),
            node: match self.random.chance(500) {
                true => self.target,
                false => NodeId(self.random.between(1, self.nodes)),
            },
            min_index: match kind {
                Kind::Stale { .. } if self.random.chance(500) => seen,
                _ => 0,
            },
            confirm: false,
            asked: Instant::default(),
            point: None,
        };
        if kind != Kind::Trap {
            operation.action = match (operation.owed, kind) {
                (true, Kind::Keyed) => Action::Put((self.number << 8 | self.id).to_string()),
                _ => self.action(letter, &operation),
            };
            let (key, action) = (&operation.key, operation.action.clone());
            let id = self.invoke(now, group, key, action, kind == Kind::Keyed);
            operation.id = Some(id);
        }
        operation
    }

    fn kind(&mut self) -> Kind {
        match self.random.below(1000) {
            dice if dice < self.traps => Kind::Trap,
            dice if dice < 200 => Kind::Bare,
            dice if dice < 400 && self.random.chance(self.leases) => Kind::Read(ReadMode::Lease),
            dice if dice < 400 => Kind::Read(ReadMode::Index),
            dice if dice < 500 => {
                let bound = *self.random.pick(BOUNDS);
                let bound = (bound > 0).then_some(bound * MS);
                Kind::Stale { bound }
            }
            _ => Kind::Keyed,
        }
    }

    fn action(&mut self, letter: char, operation: &Operation) -> Action {
        let dice = self.random.below(100);
        let (id, number) = (self.id, self.number);
        match operation.kind {
            Kind::Read(ReadMode::Lease) => return Action::Read(ReadKind::Lease),
            Kind::Read(ReadMode::Index) => return Action::Read(ReadKind::Linearizable),
            Kind::Stale { bound } => {
                return Action::Read(ReadKind::Stale {
                    max_staleness: bound.map(|bound| bound * SLOWEST.0 / SLOWEST.1 + MS),
                    min_index: (operation.min_index > 0).then_some(operation.min_index),
                });
            }
            // Without a key, what is written must be nobody else's.
            Kind::Bare | Kind::Keyed | Kind::Trap => {}
        }
        let bare = operation.kind == Kind::Bare;
        match letter {
            'a' if dice < 40 => Action::Put(format!("v{id}.{number}")),
            'a' if dice < 80 || bare => Action::Cas {
                old: self.value(operation),
                new: format!("w{id}.{number}"),
            },
            'b' if dice < 75 || bare => Action::Append(format!("c{id}.{number};")),
            'c' if bare => Action::Put((number << 8 | id).to_string()),
            'c' if dice < 75 => Action::Add(dice as i64 - 30),
            _ if dice < 90 => Action::Get,
            _ => Action::Delete,
        }
    }

    /// What it believes the value to be.
    fn value(&self, operation: &Operation) -> String {
        let place = (operation.group, operation.key.clone());
        let known = self.values.get(&place).cloned();
        known.unwrap_or_else(|| "nothing".into())
    }
}
