//! Witnesses vote and count, and that is all: none leads or is told to, and none has an entry that no
//! full voter has on its disk, of which it could only keep everybody else from leading.

use std::collections::BTreeMap;

use coracle_proto::{Configuration, Envelope, Index, LogId, Message, NodeId, ReplicaId};

use super::membership::Membership;
use super::shadow::{Image, Shadow};
use super::{Check, violated};

const NAME: &str = "witness";

/// What nodes know of witnesses.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// There was one, ever: before that there is nothing to look at.
    any: bool,
    /// The last configuration that each node, in its present life, said was committed.
    known: BTreeMap<NodeId, Index>,
}

impl Witness {
    /// A node asks for a write that has this configuration.
    pub(super) fn written(&mut self, configuration: &Configuration) {
        self.any |= !configuration.witnesses.is_empty();
    }

    /// A node says that the configuration at `index` is committed.
    pub(super) fn committed(&mut self, at: NodeId, index: Index) {
        let known = self.known.entry(at).or_default();
        *known = index.max(*known);
    }

    /// A node stopped, and has forgotten what is committed.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.known.remove(&at);
    }

    /// A replica leads.
    pub(super) fn leads(&self, leader: ReplicaId, log: &Image, membership: &Membership) -> Check {
        if !self.any || self.may_lead(leader.node, leader, log, membership) {
            return Ok(());
        }
        violated(NAME, format!("{leader} leads, which is no full voter"))
    }

    /// A node sends this.
    pub(super) fn sent(
        &self,
        envelope: &Envelope,
        membership: &Membership,
        shadows: &BTreeMap<NodeId, Shadow>,
    ) -> Check {
        let Envelope { from, to, .. } = envelope;
        let Some(sender) = shadows.get(&from.node).filter(|_| self.any) else {
            return Ok(());
        };
        let log = &sender.asked;
        match &envelope.message {
            Message::TimeoutNow if !self.may_lead(from.node, *to, log, membership) => violated(
                NAME,
                format!("{from} hands over to {to}, which is no full voter"),
            ),
            Message::Append { entries, .. } => {
                let Some(last) = entries.last() else {
                    return Ok(());
                };
                self.fed(envelope, last.id(), membership, shadows, log)
            }
            _ => Ok(()),
        }
    }

    fn fed(
        &self,
        envelope: &Envelope,
        last: LogId,
        membership: &Membership,
        shadows: &BTreeMap<NodeId, Shadow>,
        log: &Image,
    ) -> Check {
        let Envelope { from, to, term, .. } = envelope;
        let in_force = self.in_force(from.node, log, membership);
        let holds = |id: &ReplicaId| {
            let durable = shadows.get(&id.node).map(|shadow| &shadow.durable);
            // Whoever has gone on to a later term may have dropped what it once acknowledged.
            durable.is_some_and(|durable| {
                durable.born == id.born && (durable.holds(last) || durable.hard_state.term > *term)
            })
        };
        let covered = |configuration: &Configuration| {
            let mut halves = [&configuration.voters, &configuration.outgoing].into_iter();
            !configuration.is_witness(*to)
                || halves.all(|half| {
                    let mut full = half.difference(&configuration.witnesses).peekable();
                    full.peek().is_none() || full.any(holds)
                })
        };
        if in_force.is_empty() || in_force.iter().any(covered) {
            return Ok(());
        }
        violated(
            NAME,
            format!("{from} sends {last} to the witness {to} before any full voter has it"),
        )
    }

    /// Whether this replica is a full voter, as far as `at` can know.
    fn may_lead(
        &self,
        at: NodeId,
        replica: ReplicaId,
        log: &Image,
        membership: &Membership,
    ) -> bool {
        let in_force = self.in_force(at, log, membership);
        let full = |it: &Configuration| it.is_voter(replica) && !it.is_witness(replica);
        in_force.is_empty() || in_force.iter().any(full)
    }

    /// The configurations that may count for a node: the one it knows to be committed, and all above.
    fn in_force(&self, at: NodeId, log: &Image, membership: &Membership) -> Vec<Configuration> {
        let known = self.known.get(&at).copied().unwrap_or(0);
        let committed = known.max(log.floor.index);
        let above = log.configurations().filter(|it| it.index > committed);
        membership
            .at(committed)
            .cloned()
            .into_iter()
            .chain(above.cloned())
            .collect()
    }
}
