//! How this node sees the cluster.

use coracle_client::{ChainHead, FsmState, FsmStatus, Status};
use coracle_driver::GroupStatus;
use coracle_driver::directory::{DirectoryState, Fsm};
use coracle_proto::GroupId;

use super::Shell;
use super::service::state_of;

impl Shell {
    /// The status; `None` if the node stops. Needs no leader.
    pub(super) async fn status(&self) -> Option<Status> {
        let statuses = self.inbox.look(|node| node.statuses()).await?;
        let of = |group: GroupId| statuses.iter().find(|status| status.group == group);
        let system = of(GroupId::SYSTEM);
        let directory = self.directory.state();
        let fsms = directory.fsms.iter();
        Some(Status {
            node: self.node.0,
            leader: system.and_then(leader),
            term: system.map_or(0, |status| status.raft.hard_state.term),
            fsms: fsms
                .map(|(name, fsm)| self.fsm_status(&directory, (name, fsm), of(fsm.group)))
                .collect(),
            fsyncs: Some(self.metrics.store.commits.get()),
            recovered: self.recovered.clone(),
        })
    }

    fn fsm_status(
        &self,
        directory: &DirectoryState,
        (name, fsm): (&str, &Fsm),
        group: Option<&GroupStatus>,
    ) -> FsmStatus {
        let worker = self.views.get(fsm.group);
        let plugin = worker.as_ref().and_then(|status| status.spec.as_ref());
        let state = match &worker {
            _ if fsm.retiring => FsmState::Retired,
            None if self.is_elsewhere(directory, fsm) => FsmState::Elsewhere,
            None => FsmState::Starting,
            Some(status) => state_of(status),
        };
        FsmStatus {
            name: name.to_owned(),
            group: fsm.group.0,
            state,
            leader: group.and_then(leader),
            term: group.map_or(0, |status| status.raft.hard_state.term),
            plugin: plugin.map_or(fsm.plugin, |spec| spec.plugin).to_string(),
            applied_index: worker.as_ref().map_or(0, |status| status.applied),
            first_index: group.map_or(0, |status| status.floor.index + 1),
            snapshot_index: group
                .and_then(|status| status.snapshot.as_ref())
                .map_or(0, |snapshot| snapshot.last.index),
            chain: worker
                .as_ref()
                .map_or_else(String::new, |status| status.chain.to_string()),
            chains: worker
                .iter()
                .flat_map(|status| &status.chains)
                .map(|head| ChainHead {
                    index: head.index,
                    head: head.head.to_string(),
                })
                .collect(),
        }
    }
}

fn leader(status: &GroupStatus) -> Option<u64> {
    status.raft.leader.map(|replica| replica.node.0)
}
