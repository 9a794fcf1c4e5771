//! Brings the members of the groups that this node leads to those that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coracle_driver::directory::{DirectoryCommand, DirectoryState, Fsm, GroupMembers, Wanted};
use coracle_driver::{Event, GroupStatus};
use coracle_proto::{ConfigurationChange, GroupId, NodeId, Role};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info};

use super::super::Shell;
use super::super::call::{Call, Failure};
use super::plan::{Step, next_step};

/// Groups whose members change at the same time: each new member is sent a whole state.
const MAX_AT_ONCE: usize = 4;

/// Reports that are under way at the same time.
const MAX_REPORTS: usize = 16;

/// After a step that was refused.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Time for one step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is under way.
#[derive(Debug, Default)]
pub(in super::super) struct Follower {
    steps: Busy,
    reports: Busy,
}

/// Groups something is being done for.
#[derive(Debug, Default)]
struct Busy {
    groups: BTreeSet<GroupId>,
    tasks: JoinSet<GroupId>,
}

impl Busy {
    /// Whether this group may have something done.
    fn may_begin(&mut self, group: GroupId, limit: usize) -> bool {
        self.forget_ended();
        self.tasks.len() < limit && !self.groups.contains(&group)
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(group) => {
                    self.groups.remove(&group);
                }
                // Which one it was is not known: all that still run are counted again.
                Err(_) => self.groups.clear(),
            }
        }
    }

    fn begin(&mut self, group: GroupId, task: impl Future<Output = ()> + Send + 'static) {
        self.groups.insert(group);
        self.tasks.spawn(async move {
            task.await;
            group
        });
    }
}

impl Follower {
    /// Whether nothing is under way; what has ended since the last look counts as under way.
    pub(in super::super) fn is_idle(&self) -> bool {
        self.steps.tasks.is_empty() && self.reports.tasks.is_empty()
    }

    /// Begins the next step of each group that this node leads. `keep`: nodes that stay members of
    /// group 0 a little longer.
    pub(in super::super) fn follow(
        &mut self,
        shell: &Arc<Shell>,
        state: &DirectoryState,
        hosted: &BTreeMap<GroupId, GroupStatus>,
        keep: &BTreeSet<NodeId>,
    ) {
        self.steps.forget_ended();
        self.reports.forget_ended();
        if let Some(system) = hosted.get(&GroupId::SYSTEM) {
            let mut wanted = state.wanted_system();
            if !wanted.voters.is_empty() {
                let kept = |ids: &BTreeSet<coracle_proto::ReplicaId>| {
                    let nodes = ids.iter().map(|id| id.node);
                    nodes.filter(|node| keep.contains(node)).collect::<Vec<_>>()
                };
                wanted
                    .voters
                    .extend(kept(&system.raft.configuration.voters));
                wanted
                    .learners
                    .extend(kept(&system.raft.configuration.learners));
            }
            self.step(shell, system, &wanted);
        }
        for fsm in state.fsms.values().filter(|fsm| !fsm.retiring) {
            if let Some(status) = hosted.get(&fsm.group) {
                self.step(shell, status, &state.wanted(fsm));
                self.report(shell, status, fsm);
            }
        }
    }

    fn step(&mut self, shell: &Arc<Shell>, status: &GroupStatus, wanted: &Wanted) {
        let group = status.group;
        if status.raft.role != Role::Leader || status.raft.commit == 0 {
            return;
        }
        let step = next_step(&status.raft, wanted);
        if matches!(step, Step::Done | Step::Wait) || !self.steps.may_begin(group, MAX_AT_ONCE) {
            return;
        }
        let shell = Arc::clone(shell);
        self.steps.begin(group, async move {
            let result = match step {
                Step::Change(change) => shell.change_members(group, change).await,
                Step::HandOver(to) => shell.hand_over(group, to).await,
                Step::Done | Step::Wait => Ok(()),
            };
            // Tried again at the next look, unless it was done by somebody else meanwhile.
            if let Err(failure) = result {
                info!(%group, reason = failure.detail, "the members are not changed yet");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            shell.announce();
        });
    }

    /// The directory's copy, for the listing and for those who wait for a node to be gone.
    fn report(&mut self, shell: &Arc<Shell>, status: &GroupStatus, fsm: &Fsm) {
        let raft = &status.raft;
        if raft.role != Role::Leader || !raft.configuration_committed || raft.commit == 0 {
            return;
        }
        let configuration = &raft.configuration;
        if !configuration.outgoing.is_empty() {
            return;
        }
        let known = fsm.members.as_ref().map(|members| members.index);
        if known.is_some_and(|known| known >= configuration.index)
            || !self.reports.may_begin(fsm.group, MAX_REPORTS)
        {
            return;
        }
        let witnesses = &configuration.witnesses;
        let members = GroupMembers {
            index: configuration.index,
            voters: configuration
                .voters
                .difference(witnesses)
                .copied()
                .collect(),
            learners: configuration.learners.iter().copied().collect(),
            witnesses: witnesses.iter().copied().collect(),
        };
        let command = DirectoryCommand::ReportMembers {
            group: fsm.group,
            members,
        };
        let shell = Arc::clone(shell);
        self.reports.begin(fsm.group, async move {
            let call = Call::Directory {
                command: command.encode(),
            };
            let deadline = Instant::now() + STEP_TIMEOUT;
            if let Err(failure) = shell.at_leader(call, deadline).await {
                debug!(reason = failure.detail, "members are reported again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            shell.announce();
        });
    }
}

impl Shell {
    async fn change_members(
        &self,
        group: GroupId,
        change: ConfigurationChange,
    ) -> Result<(), Failure> {
        info!(%group, %change, "changing the members");
        let deadline = Instant::now() + STEP_TIMEOUT;
        self.ask_node(deadline, |ticket| Event::ChangeMembers {
            group,
            change,
            ticket,
        })
        .await
        .map(drop)
    }

    async fn hand_over(&self, group: GroupId, to: NodeId) -> Result<(), Failure> {
        info!(%group, %to, "handing over: this node is to lose its vote");
        let deadline = Instant::now() + STEP_TIMEOUT;
        self.ask_node(deadline, |ticket| Event::Transfer {
            group,
            to: Some(to),
            ticket,
        })
        .await
        .map(drop)
    }
}
