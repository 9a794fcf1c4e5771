//! An entry is committed only if it is durable on a majority (thesis §3.5), and only once it or one after it
//! was so in its own term: one of an older term that is on a majority may still be overwritten
//! (thesis §3.6.2, figure 3.7).

use std::collections::BTreeMap;

use coracle_proto::{Configuration, Entry, LogId, NodeId, ReplicaId};

use super::membership::{Membership, is_quorum};
use super::shadow::{Image, Shadow};
use super::{Check, violated};

const NAME: &str = "commit quorum";

/// Says so when an entry is first seen to be committed.
#[derive(Debug, Default)]
pub(super) struct CommitQuorum;

impl CommitQuorum {
    pub(super) fn committed(
        &self,
        last: LogId,
        membership: &Membership,
        shadows: &BTreeMap<NodeId, Shadow>,
    ) -> Check {
        let count = Count::new(last, membership, shadows);
        if count.is_quorum(|durable| durable.holds_since_its_term(last)) {
            return Ok(());
        }
        let holders = shadows
            .iter()
            .filter(|(_, shadow)| shadow.durable.holds(last));
        let holders: Vec<_> = holders.map(|(node, _)| node.to_string()).collect();
        let holders = holders.join(", ");
        if !count.is_quorum(|durable| durable.holds(last)) {
            let now = membership.last();
            return violated(
                NAME,
                format!("{last} is committed, but durable only on [{holders}] of {now}"),
            );
        }
        let logs = shadows.values().map(|shadow| &shadow.asked);
        let logs = logs.filter(|log| log.holds(last));
        let mut later = logs.flat_map(|log| log.entries.iter().map(Entry::id));
        let committed = |id: LogId| {
            let count = Count::new(id, membership, shadows);
            count.is_quorum(|durable| durable.holds_since_its_term(id))
        };
        if later.any(|id| id.index > last.index && committed(id)) {
            return Ok(());
        }
        violated(
            NAME,
            format!(
                "{last} is committed on [{holders}], but neither it nor any later one in its term"
            ),
        )
    }
}

/// Who counts for an entry.
struct Count<'a> {
    configurations: Vec<Configuration>,
    shadows: &'a BTreeMap<NodeId, Shadow>,
}

impl<'a> Count<'a> {
    fn new(id: LogId, membership: &Membership, shadows: &'a BTreeMap<NodeId, Shadow>) -> Self {
        // A leader counts by the last configuration of its log, which may not be committed yet.
        let later = shadows
            .values()
            .flat_map(|shadow| shadow.asked.configurations());
        let later = later.filter(|later| later.index > id.index);
        let first = membership.at(id.index).cloned();
        Self {
            configurations: first.into_iter().chain(later.cloned()).collect(),
            shadows,
        }
    }

    fn is_quorum(&self, holds: impl Fn(&Image) -> bool) -> bool {
        let holds = |id: &ReplicaId| {
            let durable = self.shadows.get(&id.node).map(|shadow| &shadow.durable);
            durable.is_some_and(|durable| durable.born == id.born && holds(durable))
        };
        let mut configurations = self.configurations.iter();
        configurations.any(|configuration| is_quorum(configuration, holds))
    }
}
