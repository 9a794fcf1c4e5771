//! State Machine Safety (thesis §3.2): at one index, every replica applies the same entry and gets
//! the same outcomes.

use std::collections::BTreeMap;

use coracle_driver::Digest;
use coracle_proto::{Entry, Index, NodeId};

use super::shadow::Shadow;
use super::{Check, Violation, violated};

const NAME: &str = "state machine safety";

/// The one history of a group.
#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    entries: Vec<Entry>,
    /// Up to where each node was seen to commit, in its present life.
    known: BTreeMap<NodeId, Index>,
    chains: BTreeMap<Index, (NodeId, Digest)>,
}

impl StateMachineSafety {
    /// The last index known to be committed.
    pub(super) fn last(&self) -> Index {
        self.entries.len() as Index
    }

    /// A node says everything up to `through` is committed; returns what nobody knew before.
    pub(super) fn committed(
        &mut self,
        at: NodeId,
        shadow: &Shadow,
        through: Index,
    ) -> Result<&[Entry], Violation> {
        let before = self.entries.len();
        let known = self.known.get(&at).copied().unwrap_or(0);
        let floor = shadow.durable.floor.index;
        for index in known.max(floor) + 1..=through {
            let Some(entry) = shadow.durable.entry(index) else {
                let detail = format!("{at} commits {index}, which is not durable there");
                return Err(violation(detail));
            };
            match self.entries.get((index - 1) as usize) {
                Some(first) if first != entry => {
                    let (first, own) = (first.id(), entry.id());
                    let detail = format!("{at} commits {own} where {first} was committed");
                    return Err(violation(detail));
                }
                Some(_) => {}
                None if index == self.last() + 1 => self.entries.push(entry.clone()),
                None => {
                    let detail = format!("{at} commits {index} after {}", self.last());
                    return Err(violation(detail));
                }
            }
        }
        self.known.insert(at, known.max(through));
        Ok(&self.entries[before..])
    }

    /// A node stopped; it will say everything again.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.known.remove(&at);
    }

    /// A node goes on from a snapshot.
    pub(super) fn installed(&mut self, at: NodeId, last: Index) -> Check {
        if last > self.last() {
            let known = self.last();
            return violated(
                NAME,
                format!("{at} has a snapshot up to {last}, beyond {known}"),
            );
        }
        self.known.insert(at, last);
        Ok(())
    }

    /// A node has this outcome chain at `index`.
    pub(super) fn applied(&mut self, at: NodeId, index: Index, chain: Digest) -> Check {
        if index > self.last() {
            return violated(
                NAME,
                format!("{at} applied {index}, which is not committed"),
            );
        }
        let (first, theirs) = *self.chains.entry(index).or_insert((at, chain));
        if theirs == chain {
            return Ok(());
        }
        violated(
            NAME,
            format!("at {index} the outcome chain of {at} is {chain}, that of {first} is {theirs}"),
        )
    }
}

fn violation(detail: String) -> Violation {
    Violation {
        invariant: NAME,
        detail,
    }
}
