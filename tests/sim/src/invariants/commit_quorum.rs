//! An entry is committed only if it is durable on a majority (thesis §3.5).

use std::collections::BTreeMap;

use coracle_proto::{LogId, NodeId, ReplicaId};

use super::membership::{Membership, is_quorum};
use super::shadow::Shadow;
use super::{Check, violated};

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
        let holds = |id: &ReplicaId| {
            let shadow = shadows.get(&id.node).map(|shadow| &shadow.durable);
            shadow.is_some_and(|durable| durable.born == id.born && durable.holds(last))
        };
        // A leader counts by the last configuration of its log, which may not be committed yet.
        let later = shadows
            .values()
            .flat_map(|shadow| shadow.asked.configurations());
        let later: Vec<_> = later.filter(|later| later.index > last.index).collect();
        let mut counted = membership.at(last.index).into_iter().chain(&later);
        if counted.any(|configuration| is_quorum(configuration, holds)) {
            return Ok(());
        }
        let holders = shadows
            .iter()
            .filter(|(_, shadow)| shadow.durable.holds(last));
        let holders: Vec<_> = holders.map(|(node, _)| node.to_string()).collect();
        let holders = holders.join(", ");
        violated(
            "commit quorum",
            format!(
                "{last} is committed, but durable only on [{holders}] of {}",
                membership.last()
            ),
        )
    }
}
