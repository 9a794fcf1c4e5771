//! Configurations (thesis §4): the committed ones are the same everywhere, each differs from the one
//! before it in a way that keeps their majorities overlapping, and only who is hosted speaks.

use std::collections::BTreeMap;

use coracle_proto::{Configuration, Envelope, Index, LogId, NodeId, ReplicaId};

use super::shadow::Shadow;
use super::{Check, violated};

const NAME: &str = "membership";

/// The committed configurations.
#[derive(Debug, Default)]
pub(super) struct Membership {
    committed: BTreeMap<Index, Configuration>,
}

impl Membership {
    pub(super) fn new(initial: Configuration) -> Self {
        Self {
            committed: [(0, initial)].into(),
        }
    }

    /// A node says that this configuration is committed.
    pub(super) fn committed(&mut self, at: NodeId, configuration: &Configuration) -> Check {
        let index = configuration.index;
        let first = self.committed.entry(index);
        let first = first.or_insert_with(|| configuration.clone());
        if first != configuration {
            return violated(
                NAME,
                format!("{at} commits {configuration} at {index}, another {first}"),
            );
        }
        let before = self.committed.range(..index).next_back();
        let after = self.committed.range(index + 1..).next();
        let pairs = [
            before.zip(Some((&index, configuration))),
            after.map(|next| ((&index, configuration), next)),
        ];
        for ((_, one), (at, other)) in pairs.into_iter().flatten() {
            if !overlap(one, other) {
                return violated(NAME, format!("{one} is followed by {other} at {at}"));
            }
        }
        Ok(())
    }

    /// The configuration in force at `index`, as far as is committed.
    pub(super) fn at(&self, index: Index) -> Option<&Configuration> {
        let mut before = self.committed.range(..=index);
        before.next_back().map(|(_, configuration)| configuration)
    }

    /// The last one that is committed.
    pub(super) fn last(&self) -> Configuration {
        let last = self.committed.last_key_value();
        last.map(|(_, last)| last.clone()).unwrap_or_default()
    }

    /// An administrator was told that this is a committed configuration.
    pub(super) fn changed(&self, index: Index) -> Check {
        match self.committed.contains_key(&index) {
            true => Ok(()),
            false => violated(
                NAME,
                format!("{index} was called a committed configuration"),
            ),
        }
    }
}

/// A message comes from the replica that the node hosts, durably, and from no other.
pub(super) fn sent(envelope: &Envelope, shadow: &Shadow) -> Check {
    let (from, durable) = (envelope.from, &shadow.durable);
    if durable.hosted && durable.born == from.born {
        return Ok(());
    }
    let hosted = durable.hosted.then_some(durable.born);
    violated(NAME, format!("{from} speaks, but hosted is {hosted:?}"))
}

/// A leader adds a configuration only when the one before it is committed, and an entry of its own
/// term (Ongaro 2015): `needed` is one of these, `configuration` counts for it.
pub(super) fn added(
    leader: ReplicaId,
    added: Index,
    needed: LogId,
    configuration: &Configuration,
    shadows: &BTreeMap<NodeId, Shadow>,
) -> Check {
    let holds = |id: &ReplicaId| {
        let durable = shadows.get(&id.node).map(|shadow| &shadow.durable);
        durable.is_some_and(|durable| durable.born == id.born && durable.holds(needed))
    };
    if needed.index < added && is_quorum(configuration, holds) {
        return Ok(());
    }
    violated(
        NAME,
        format!("{leader} adds a configuration at {added} before {needed} is committed"),
    )
}

/// Whether `holders` are a majority of both halves.
pub(super) fn is_quorum(configuration: &Configuration, holds: impl Fn(&ReplicaId) -> bool) -> bool {
    [&configuration.voters, &configuration.outgoing]
        .iter()
        .all(|half| half.is_empty() || half.iter().filter(|id| holds(id)).count() > half.len() / 2)
}

/// Whether any majority of the one meets any of the other: voters differ by one, or one side is
/// joint and has the other as a half.
fn overlap(one: &Configuration, other: &Configuration) -> bool {
    let halves = |configuration: &Configuration| {
        let Configuration {
            voters, outgoing, ..
        } = configuration;
        let mut halves = vec![voters.clone()];
        halves.extend((!outgoing.is_empty()).then(|| outgoing.clone()));
        halves
    };
    let (ours, theirs) = (halves(one), halves(other));
    ours.iter().any(|half| {
        let differs = |other: &std::collections::BTreeSet<ReplicaId>| {
            half.symmetric_difference(other).count()
        };
        theirs.iter().any(|other| differs(other) <= 1)
    })
}
