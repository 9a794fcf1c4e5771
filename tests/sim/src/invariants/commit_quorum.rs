//! An entry is committed only if it is durable on a majority (thesis §3.5).

use std::collections::BTreeMap;

use coracle_proto::{LogId, NodeId};

use super::shadow::Shadow;
use super::{Check, violated};

/// Says so when an entry is first seen to be committed.
#[derive(Debug, Default)]
pub(super) struct CommitQuorum;

impl CommitQuorum {
    pub(super) fn committed(
        &self,
        last: LogId,
        nodes: u64,
        shadows: &BTreeMap<NodeId, Shadow>,
    ) -> Check {
        let holders = shadows
            .iter()
            .filter(|(_, shadow)| shadow.durable.holds(last));
        let holders: Vec<_> = holders.map(|(node, _)| node.to_string()).collect();
        if holders.len() as u64 > nodes / 2 {
            return Ok(());
        }
        let holders = holders.join(", ");
        violated(
            "commit quorum",
            format!("{last} is committed, but durable only on [{holders}] of {nodes} nodes"),
        )
    }
}
