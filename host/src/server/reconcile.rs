//! Makes this node host what the directory wants (DESIGN §7.5). Every step may be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_driver::MachineSpec;
use coracle_driver::directory::{DirectoryCommand, DirectoryState, Fsm};
use coracle_driver::fsm::{WorkerState, WorkerStatus};
use coracle_driver::task::HostEntry;
use coracle_driver::{Event, GroupStatus};
use coracle_proto::{Configuration, GroupId, Index, NodeId, ReplicaId, Role};
use coracle_runtime::{CONTRACT, EPOCH};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shell;
use super::call::{Call, Failure};
use super::membership::{AddressBook, Chores, Follower};

/// Without any change the node looks again after this long.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks that are left out in a row while nothing is under way, all groups are silent, and nobody
/// announces anything: a look costs something for every group.
const MAX_LEFT_OUT: u32 = 8;

/// Time for one step that needs a group's agreement.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Reconciles until the node stops. Nothing is done before group 0 has applied `mark`, which it
/// had applied in the node's last run: what is replayed was acted upon then.
pub(super) async fn run(shell: Arc<Shell>, mark: Index, book: AddressBook) {
    let mut changes = shell.changes();
    let mut leading = JoinSet::new();
    let mut chores = Chores::new(&shell, book);
    let mut follower = Follower::default();
    let mut rest = Rest::default();
    loop {
        chores.heed_refusals(&shell);
        chores.tell_address(&shell);
        let system = shell.views.get(GroupId::SYSTEM);
        if !rest.may_leave_out()
            && let Some(applied) = system.and_then(|status| trusted(&status, mark))
            && let Some(hosted) = hosted(&shell).await
        {
            let silent = are_silent(&hosted);
            let wanted = shell.directory.state();
            let keep = chores.follow(&shell, &wanted, &hosted);
            follower.follow(&shell, &wanted, &hosted, &keep);
            reconcile(&shell, applied, wanted, hosted, &mut leading);
            rest.settled = silent && chores.is_idle() && follower.is_idle() && leading.is_empty();
        }
        let quiet = tokio::time::timeout(INTERVAL, changes.changed()).await;
        if matches!(quiet, Ok(Err(_))) || shell.is_stopping() {
            return;
        }
        if quiet.is_ok() {
            rest = Rest::default();
        }
    }
}

/// Which looks may be left out.
#[derive(Debug, Default)]
struct Rest {
    /// The last look found nothing to do.
    settled: bool,
    left_out: u32,
}

impl Rest {
    fn may_leave_out(&mut self) -> bool {
        let may = self.settled && self.left_out < MAX_LEFT_OUT;
        self.left_out = if may { self.left_out + 1 } else { 0 };
        may
    }
}

/// Group 0 never is.
fn are_silent(hosted: &BTreeMap<GroupId, GroupStatus>) -> bool {
    let mut fsms = hosted.values().filter(|it| it.group != GroupId::SYSTEM);
    fsms.all(|status| status.raft.quiet)
}

/// Up to where the directory may be believed, if at all. A replica of group 0 that is halted or
/// waits may have no state though its log says how far it has come: every fsm would seem to be
/// unwanted, and would be removed for good.
fn trusted(system: &WorkerStatus, mark: Index) -> Option<Index> {
    let applied = system.applied;
    let runs = system.state == WorkerState::Running;
    (runs && applied > 0 && applied >= mark).then_some(applied)
}

async fn hosted(shell: &Shell) -> Option<BTreeMap<GroupId, GroupStatus>> {
    let statuses = shell.inbox.look(|node| node.statuses()).await?;
    let by_group = statuses.into_iter().map(|status| (status.group, status));
    Some(by_group.collect())
}

fn reconcile(
    shell: &Arc<Shell>,
    applied: Index,
    wanted: Arc<DirectoryState>,
    hosted: BTreeMap<GroupId, GroupStatus>,
    leading: &mut JoinSet<()>,
) {
    let by_group: BTreeMap<GroupId, (&String, &Fsm)> = wanted
        .fsms
        .iter()
        .map(|(name, fsm)| (fsm.group, (name, fsm)))
        .collect();

    for (group, (name, fsm)) in &by_group {
        if !hosted.contains_key(group) && is_founder(shell.node, fsm) && !fsm.retiring {
            info!(%group, fsm = name, "hosting a new fsm");
            shell.inbox.push(host(*group, fsm));
        } else if hosted.contains_key(group) && is_starting(shell, *group) {
            // The node does not keep over a restart what its leader is to propose.
            shell.inbox.push(host(*group, fsm));
        }
    }
    for (group, status) in &hosted {
        if let Some((name, fsm)) = by_group.get(group)
            && has_left(status.raft.id, fsm)
        {
            info!(%group, fsm = name, "this node runs the fsm no more: its replica is removed");
            shell.inbox.push(remove(status));
        }
        // A group created after what this node has seen of the directory is not unwanted.
        let unwanted = *group != GroupId::SYSTEM && group.0 <= applied;
        if unwanted && !by_group.contains_key(group) {
            info!(%group, "removing an fsm");
            shell.inbox.push(remove(status));
        }
    }
    while leading.try_join_next().is_some() {}
    let owes = |fsm: &Fsm| owes(shell, fsm, &hosted);
    if leading.is_empty() && wanted.fsms.values().any(owes) {
        // It waits for other nodes: new fsms must not wait with it.
        leading.spawn(lead(Arc::clone(shell), wanted, hosted));
    }
}

fn remove(status: &GroupStatus) -> Event {
    Event::Remove {
        group: status.group,
        born: status.raft.id.born,
    }
}

fn is_starting(shell: &Shell, group: GroupId) -> bool {
    shell
        .views
        .get(group)
        .is_none_or(|status| matches!(status.state, WorkerState::Starting))
}

/// Whether this node leads the group and has to tell the directory something.
fn owes(shell: &Shell, fsm: &Fsm, hosted: &BTreeMap<GroupId, GroupStatus>) -> bool {
    let mut status = hosted.get(&fsm.group).into_iter();
    let leads = status.any(|status| status.raft.role == Role::Leader);
    let spec = || shell.views.get(fsm.group).and_then(|status| status.spec);
    leads && (fsm.retiring || spec().is_some_and(|spec| spec.plugin != fsm.plugin))
}

/// What the leader of each group owes the directory.
async fn lead(
    shell: Arc<Shell>,
    wanted: Arc<DirectoryState>,
    hosted: BTreeMap<GroupId, GroupStatus>,
) {
    for (name, fsm) in &wanted.fsms {
        let owes = owes(&shell, fsm, &hosted);
        let Some(status) = shell.views.get(fsm.group).filter(|_| owes) else {
            continue;
        };
        let result = if fsm.retiring {
            retire(&shell, fsm.group, &status.state).await
        } else {
            report_plugin(&shell, fsm, status.spec.as_ref()).await
        };
        if let Err(failure) = result {
            warn!(
                fsm = name,
                reason = failure.detail,
                "reconciling is tried again"
            );
        }
    }
}

async fn retire(shell: &Arc<Shell>, group: GroupId, state: &WorkerState) -> Result<(), Failure> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    if !matches!(state, WorkerState::Retired) {
        shell.host_entry(group, HostEntry::Retire, deadline).await?;
    }
    let command = DirectoryCommand::DropFsm { group };
    let call = Call::Directory {
        command: command.encode(),
    };
    shell.at_leader(call, deadline).await.map(drop)
}

/// The directory's copy of what the group's own log says.
async fn report_plugin(
    shell: &Arc<Shell>,
    fsm: &Fsm,
    spec: Option<&MachineSpec>,
) -> Result<(), Failure> {
    let Some(spec) = spec.filter(|spec| spec.plugin != fsm.plugin) else {
        return Ok(());
    };
    let command = DirectoryCommand::SetFsmPlugin {
        group: fsm.group,
        plugin: spec.plugin,
    };
    let call = Call::Directory {
        command: command.encode(),
    };
    let deadline = Instant::now() + STEP_TIMEOUT;
    shell.at_leader(call, deadline).await.map(drop)
}

/// A replica of the founders.
pub(super) fn host(group: GroupId, fsm: &Fsm) -> Event {
    Event::Host {
        group,
        born: 0,
        configuration: Configuration::initial(fsm.nodes.iter().copied()),
        create: Some(spec(fsm)),
    }
}

/// What the first entry of the fsm's log says.
pub(super) fn spec(fsm: &Fsm) -> MachineSpec {
    MachineSpec {
        plugin: fsm.plugin,
        config: fsm.config.clone(),
        limits: fsm.limits,
        contract: CONTRACT.to_owned(),
        epoch: EPOCH,
    }
}

/// Whether the node is to begin a replica of its own accord. Who was added later begins when the
/// group's leader speaks to it, and who was removed does not begin again.
pub(super) fn is_founder(node: NodeId, fsm: &Fsm) -> bool {
    let first = ReplicaId { node, born: 0 };
    let members = fsm.members.as_ref();
    fsm.nodes.contains(&node) && members.is_none_or(|members| members.all().any(|id| id == first))
}

/// Whether the group's committed configuration, which is newer than this replica, is without it.
fn has_left(replica: ReplicaId, fsm: &Fsm) -> bool {
    fsm.members.as_ref().is_some_and(|members| {
        members.index >= replica.born && members.index > 0 && members.all().all(|id| id != replica)
    })
}

#[cfg(test)]
mod tests {
    use coracle_driver::Digest;
    use coracle_driver::fsm::Totals;

    use super::*;

    fn system(state: WorkerState, applied: Index) -> WorkerStatus {
        WorkerStatus {
            group: GroupId::SYSTEM,
            state,
            applied,
            spec: None,
            chain: Digest([0; 32]),
            chains: Vec::new(),
            snapshot_index: 0,
            configuration: Configuration::default(),
            sessions: 0,
            failures: 0,
            totals: Totals::default(),
            memory_bytes: 0,
        }
    }

    #[test]
    fn looks_are_left_out_only_while_there_is_nothing_to_do_and_never_for_long() {
        let mut busy = Rest::default();
        assert!((0..100).all(|_| !busy.may_leave_out()));
        let mut settled = Rest {
            settled: true,
            ..Rest::default()
        };
        let looks: Vec<bool> = (0..18).map(|_| !settled.may_leave_out()).collect();
        assert_eq!(looks.iter().filter(|look| **look).count(), 2);
        assert!(!looks[0] && looks[MAX_LEFT_OUT as usize]);
    }

    #[test]
    fn nothing_is_done_before_what_was_acted_upon_in_the_last_run_is_applied_again() {
        let check = |applied| trusted(&system(WorkerState::Running, applied), 7);
        assert_eq!([0, 6, 7, 8].map(check), [None, None, Some(7), Some(8)]);
        assert_eq!(trusted(&system(WorkerState::Running, 0), 0), None);
    }

    #[test]
    fn a_directory_whose_state_could_not_be_restored_says_nothing_about_what_is_wanted() {
        let reason = || "the snapshot is damaged".to_owned();
        for state in [
            WorkerState::Halted { reason: reason() },
            WorkerState::WaitingForSnapshot { reason: reason() },
            WorkerState::Starting,
        ] {
            assert_eq!(trusted(&system(state.clone(), 9), 7), None, "{state:?}");
        }
    }
}
