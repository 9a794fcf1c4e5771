//! Creating an fsm, at the leader of group 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_client::Code;
use coracle_driver::directory::{DirectoryCommand, NodeRole};
use coracle_driver::fsm::WorkerState;
use coracle_driver::{Digest, Limits};
use coracle_proto::{GroupId, NodeId};
use tokio::time::{Instant, timeout_at};

use super::Shell;
use super::call::{Failure, Reply};
use crate::config::check_limits;

/// In the directory's refusal of a second creation in one entry.
const SAME_ENTRY: &str = "created by the same entry";

impl Shell {
    /// Creates the fsm and waits for its first entry's outcome. One whose state machine does not
    /// start is removed again, so that its name is free for the next attempt.
    pub(super) async fn create_here(
        self: &Arc<Self>,
        name: String,
        plugin: Digest,
        config: BTreeMap<String, String>,
        limits: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let limits = decode_limits(limits)?;
        if !self.directory.state().plugins.contains_key(&plugin) {
            let detail = format!("plugin {plugin} is not known: upload it first");
            return Err(Failure::not_applied(Code::NotFound, detail));
        }
        self.stage_everywhere(plugin, deadline).await?;
        let command = DirectoryCommand::CreateFsm {
            name: name.clone(),
            plugin,
            config: config.into_iter().collect(),
            limits,
            nodes: self.first_voters(),
        };
        let group = self.register(&command, deadline).await?;
        match self.wait_started(group, deadline).await? {
            WorkerState::Failed { reason } => {
                let retire = DirectoryCommand::RetireFsm { name };
                self.directory_here(&retire, deadline).await?;
                self.wait_dropped(group, deadline).await;
                let detail = format!("the state machine did not start: {reason}");
                Err(Failure::not_applied(Code::InitFailed, detail))
            }
            WorkerState::Halted { reason } => {
                let detail = format!("the fsm was created but halted on this node: {reason}");
                Err(Failure::unknown(detail))
            }
            _ => Ok(Reply::Group { group: group.0 }),
        }
    }

    /// The voters of the cluster: learners and witnesses follow once the group has a leader.
    fn first_voters(&self) -> Vec<NodeId> {
        let voters = self.directory.state().members.with_role(NodeRole::Voter);
        if voters.is_empty() {
            return self.founders();
        }
        voters.into_iter().collect()
    }

    /// Two creations in one entry would want the same group id: the directory refuses the second,
    /// which then goes into a later entry.
    async fn register(
        &self,
        command: &DirectoryCommand,
        deadline: Instant,
    ) -> Result<GroupId, Failure> {
        loop {
            match self.directory_here(command, deadline).await {
                Ok(Reply::Applied { index, reply, .. }) => return Ok(created_group(index, &reply)),
                Ok(reply) => {
                    return Err(Failure::unknown(format!(
                        "the directory answered {reply:?}"
                    )));
                }
                Err(failure)
                    if failure.detail.contains(SAME_ENTRY) && Instant::now() < deadline => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn wait_started(
        &self,
        group: GroupId,
        deadline: Instant,
    ) -> Result<WorkerState, Failure> {
        let started = async {
            loop {
                let mut changed = self.changes();
                match self.views.get(group).map(|status| status.state) {
                    Some(WorkerState::Starting | WorkerState::WaitingForPlugin { .. }) | None => {}
                    Some(state) => return Ok(state),
                }
                if changed.changed().await.is_err() {
                    return Err(Failure::unknown("the node stopped before the fsm started"));
                }
            }
        };
        timeout_at(deadline, started).await.unwrap_or_else(|_| {
            Err(Failure::unknown(
                "the fsm was created but did not start yet",
            ))
        })
    }

    async fn wait_dropped(&self, group: GroupId, deadline: Instant) {
        let dropped = async {
            loop {
                let mut changed = self.changes();
                let state = self.directory.state();
                if !state.fsms.values().any(|fsm| fsm.group == group) {
                    return;
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        // Past the deadline the removal goes on by itself; the name is free a little later.
        let _ = timeout_at(deadline, dropped).await;
    }
}

/// The limits in another node's call.
pub(super) fn decode_limits(bytes: &[u8]) -> Result<Limits, Failure> {
    let bad = |detail| Failure::not_applied(Code::BadRequest, detail);
    let limits: Limits =
        postcard::from_bytes(bytes).map_err(|error| bad(format!("malformed limits: {error}")))?;
    check_limits(&limits).map_err(|wrong| bad(format!("limits: {wrong}")))?;
    Ok(limits)
}

/// A group is named after its creating entry; asked for the same again, the directory answers the
/// group that exists.
fn created_group(index: u64, reply: &[u8]) -> GroupId {
    match reply.try_into() {
        Ok(bytes) => GroupId(u64::from_le_bytes(bytes)),
        Err(_) => GroupId(index),
    }
}
