//! One replica of one group: its core, and what the core's effects mean for the rest of the node.

mod changes;
mod checkpoint;
mod hand_over;
mod members;
mod propose;
mod snapshot;
mod witness;

use std::collections::{BTreeMap, VecDeque};

use coracle_proto::{
    Configuration, Effect, Effects, Entry, Envelope, GroupId, HardState, Index, Initial, Input,
    Instant, NodeId, PersistId, ProposalId, Raft, ReadId, ReadMode, RefuseReason, ReplicaId,
    Settings, Term,
};

use crate::task::{NotApplied, Task, Ticket};
use crate::{LogError, MachineSpec, RecoveredGroup, Write, WriteKind, payload};

use super::queue::CommandQueue;
use super::tail::Tail;
use super::turn::Turn;
use super::{GroupStatus, LeaderChange};
use changes::Changes;
use checkpoint::Checkpoint;
use hand_over::HandOver;
use propose::Verdict;
use snapshot::Snapshotting;

pub use members::ReplicaKind;

/// One replica of one group.
#[derive(Debug)]
pub(super) struct Group {
    id: GroupId,
    replica: ReplicaId,
    kind: ReplicaKind,
    raft: Raft,
    effects: Effects,
    term: Term,
    leader: Option<ReplicaId>,
    /// Why it was stopped, once it was.
    stopped: Option<String>,

    /// Last entry of the log, durable or not.
    last: Index,
    /// Known to be committed, durable here or not.
    commit: Index,
    /// Committed and durable here.
    announced: Index,
    /// The last configuration that is.
    committed: Configuration,
    applied: Index,
    hinted: Index,
    tail: Tail,
    snapshots: Snapshotting,
    /// Entries that lagging peers need from the log.
    wanted: VecDeque<Wanted>,

    queue: CommandQueue,
    /// The queue waits because too much of the log is not committed.
    uncommitted: bool,
    /// What became of the proposal that is being made.
    verdict: Option<Verdict>,
    reads: BTreeMap<ReadId, Ticket>,
    changes: Changes,
    hand_over: HandOver,
    /// The highest time stamped into an entry that this node has seen.
    time: u64,
    checkpoint: Checkpoint,
    create: Option<MachineSpec>,
    /// The worker found no `Create` in the log.
    uncreated: bool,
    /// Where this leader has proposed it.
    create_at: Option<Index>,
    /// The worker was halted by a fault of this host.
    halted: Option<String>,
    /// The worker has no room for a checkpoint.
    no_room: bool,
    /// Checkpoints fail and the tail is as long as it may be.
    suspended: Option<String>,
}

/// Entries that a peer needs from the log.
#[derive(Debug)]
struct Wanted {
    to: ReplicaId,
    from: Index,
    through: Index,
    max_bytes: usize,
}

impl Group {
    /// A replica that starts to exist, in this initial configuration.
    pub(super) fn first(
        turn: &mut Turn<'_>,
        id: GroupId,
        born: Index,
        hard_state: HardState,
        configuration: Configuration,
    ) -> Self {
        let initial = Initial {
            hard_state,
            configurations: vec![configuration],
            ..Initial::default()
        };
        let mut group = Self::new(turn, id, born, initial);
        group.kind = ReplicaKind::begun(group.replica, &group.committed);
        group
    }

    /// A replica as the log held it.
    pub(super) fn recovered(turn: &mut Turn<'_>, id: GroupId, found: &RecoveredGroup) -> Self {
        let mut group = Self::new(turn, id, found.born, found.initial.clone());
        group.snapshots = Snapshotting::recovered(found.floor.clone());
        group.kind = ReplicaKind::recovered(group.replica, found);
        group.hinted = found.applied;
        // What was applied is committed.
        group.commit = group.commit.max(found.applied.min(group.last));
        if let Some(committed) = group.raft.configuration_at(group.commit) {
            group.committed = committed.clone();
        }
        group.applied = found.floor.snapshot.as_ref().map_or(0, |s| s.last.index);
        group
    }

    fn new(turn: &mut Turn<'_>, id: GroupId, born: Index, initial: Initial) -> Self {
        let replica = ReplicaId {
            node: turn.config.id,
            born,
        };
        let (term, last) = (initial.hard_state.term, initial.last);
        let config = turn.config.raft(id, replica);
        let snapshot = initial.snapshot.as_ref().map_or(0, |meta| meta.last.index);
        let commit = snapshot.max(initial.floor.index);
        let raft = Raft::new(config, initial, turn.now, turn.shared.jitter.next());
        let committed = raft.configuration_at(commit).cloned().unwrap_or_default();
        Self {
            id,
            replica,
            kind: ReplicaKind::Full,
            raft,
            effects: Effects::new(),
            term,
            leader: None,
            stopped: None,
            last,
            commit,
            announced: commit,
            committed,
            applied: 0,
            hinted: 0,
            tail: Tail::default(),
            snapshots: Snapshotting::default(),
            wanted: VecDeque::new(),
            queue: CommandQueue::default(),
            uncommitted: false,
            verdict: None,
            reads: BTreeMap::new(),
            changes: Changes::default(),
            hand_over: HandOver::default(),
            time: 0,
            checkpoint: Checkpoint::default(),
            create: (id == GroupId::SYSTEM).then(native),
            uncreated: false,
            create_at: None,
            halted: None,
            no_room: false,
            suspended: None,
        }
    }

    /// What its leader proposes as first entry.
    pub(super) fn set_create(&mut self, create: Option<MachineSpec>) {
        if create.is_some() {
            self.create = create;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.stopped {
            Some(_) => None,
            None => {
                let core = self.raft.deadline().map(|(at, _)| at);
                let own = [self.changes.deadline(), self.hand_over.deadline()];
                own.into_iter().flatten().chain(core).min()
            }
        }
    }

    /// This node's replica.
    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Whether it has a worker.
    pub(super) fn has_worker(&self) -> bool {
        self.kind == ReplicaKind::Full
    }

    pub(super) fn contacts(&self) -> Vec<NodeId> {
        self.raft.contacts()
    }

    pub(super) fn status(&self) -> GroupStatus {
        let raft = self.raft.status();
        GroupStatus {
            group: self.id,
            applied: self.applied,
            snapshot: self.snapshots.newest().cloned(),
            floor: raft.floor,
            raft,
            queued: self.queue.len(),
            stopped: self.stopped.clone(),
        }
    }

    /// Whether this replica is known to lead.
    fn leads(&self) -> bool {
        self.stopped.is_none() && self.leader == Some(self.replica)
    }

    /// Fires the core's timer if it is due.
    pub(super) fn timeout(&mut self, turn: &mut Turn<'_>) {
        self.give_up_snapshots(turn);
        self.give_up_changes(turn);
        self.hand_over(turn);
        let due = self.raft.deadline().filter(|(at, _)| *at <= turn.now);
        if let Some((_, kind)) = due {
            let jitter = turn.shared.jitter.next();
            self.step(turn, Input::Timeout { kind, jitter });
        }
    }

    /// Follows nobody until a leader speaks again.
    pub(super) fn forget_leader(&mut self, turn: &mut Turn<'_>) {
        self.step(turn, Input::ForgetLeader);
    }

    /// The settings of the node have changed.
    pub(super) fn tune(&mut self, turn: &mut Turn<'_>) {
        let settings = Settings::from(&turn.config.raft(self.id, self.replica));
        self.step(turn, Input::Configure(settings));
    }

    /// Campaigns now.
    pub(super) fn campaign(&mut self, turn: &mut Turn<'_>) {
        let jitter = turn.shared.jitter.next();
        self.step(turn, Input::Campaign { jitter });
    }

    /// Asks for a linearizable read point.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>, mode: ReadMode, ticket: Ticket) {
        if let Some(refusal) = self.unavailable() {
            turn.refuse(ticket, refusal);
            return;
        }
        let id = ReadId(turn.shared.name());
        self.reads.insert(id, ticket);
        self.step(turn, Input::Read { id, mode });
    }

    /// The worker has applied everything up to here.
    pub(super) fn applied(&mut self, turn: &mut Turn<'_>, index: Index) {
        // A worker of an earlier replica may report once more.
        if index <= self.applied || index > self.commit {
            return;
        }
        self.applied = index;
        self.no_room = false;
        self.checkpoint.reached(index);
        // If there is still none, the worker says so again.
        self.uncreated = false;
        self.create_at = self.create_at.filter(|at| *at > index);
        self.step(turn, Input::Applied { index });
        // Group 0's mark says at the next start from where on its directory may be believed.
        let every = match self.id {
            GroupId::SYSTEM => 1,
            _ => turn.config.applied_hint_entries,
        };
        if index >= self.hinted.saturating_add(every) {
            self.hinted = index;
            self.write(turn, None, WriteKind::Applied { index });
        }
    }

    /// The worker stands still for good.
    pub(super) fn halt(&mut self, turn: &mut Turn<'_>, reason: String) {
        self.halted = Some(reason);
        self.hand_over.want(turn.now);
        self.refuse_waiting(turn);
    }

    /// Answers everybody who waits here with why the group is not available.
    pub(super) fn refuse_waiting(&mut self, turn: &mut Turn<'_>) {
        let refusal = self.unavailable().unwrap_or(NotApplied::NoGroup);
        for ticket in self.queue.drain() {
            turn.refuse(ticket, refusal.clone());
        }
        for ticket in std::mem::take(&mut self.reads).into_values() {
            turn.refuse(ticket, refusal.clone());
        }
    }

    /// Whether a message for another replica of this node proves that this one is dead.
    pub(super) fn gives_way_to(&self, envelope: &Envelope) -> bool {
        self.raft.gives_way_to(envelope)
    }

    /// What the replica that takes this one's place begins with.
    pub(super) fn into_heritage(self) -> (HardState, Option<MachineSpec>) {
        (self.raft.status().hard_state, self.create)
    }

    /// This replica is removed.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        self.refuse_waiting(turn);
        self.end_changes(turn);
    }

    /// The worker stands still before a checkpoint for which there is no room.
    pub(super) fn no_room(&mut self, turn: &mut Turn<'_>) {
        self.no_room = true;
        self.low_space(turn);
    }

    /// A checkpoint failed: beyond a limit the log must not grow on.
    pub(super) fn checkpoint_failed(&mut self, turn: &mut Turn<'_>, tail: u64) {
        let limit = turn.config.max_tail_entries;
        if tail < limit {
            return;
        }
        let reason = format!(
            "checkpoints fail, and {tail} entries stand above the last one (the limit is {limit})"
        );
        self.suspended = Some(reason.clone());
        for ticket in self.queue.drain() {
            let reason = reason.clone();
            turn.refuse(ticket, NotApplied::Suspended { reason });
        }
    }

    /// The disk is nearly full: who waits to be appended is refused.
    pub(super) fn low_space(&mut self, turn: &mut Turn<'_>) {
        for ticket in self.queue.drain() {
            turn.refuse(ticket, NotApplied::DiskFull);
        }
    }

    fn unavailable(&self) -> Option<NotApplied> {
        let reason = self.stopped.as_ref().or(self.halted.as_ref())?;
        Some(NotApplied::Unavailable {
            reason: reason.clone(),
        })
    }

    /// Feeds the core and does what it asks for.
    pub(super) fn step(&mut self, turn: &mut Turn<'_>, input: Input) {
        if self.stopped.is_some() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.raft.step(turn.now, input, &mut effects);
        for effect in effects.drain(..) {
            self.perform(turn, effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, turn: &mut Turn<'_>, effect: Effect) {
        match effect {
            Effect::Persist {
                id,
                hard_state,
                entries,
            } => {
                self.note_entries(turn, &entries);
                let kind = WriteKind::Append {
                    hard_state,
                    entries,
                };
                self.write(turn, Some(id), kind);
            }
            Effect::Send(envelope) => turn.out.sends.push(envelope),
            Effect::ReadLog {
                to,
                from,
                through,
                max_bytes,
            } => self.wanted.push_back(Wanted {
                to,
                from,
                through,
                max_bytes,
            }),
            Effect::SendSnapshot { to } => self.send_snapshot(turn, to),
            Effect::InstallSnapshot {
                id,
                hard_state,
                meta,
                truncate,
            } => self.install(turn, id, hard_state, &meta, truncate),
            Effect::Commit { index } => self.committed_up_to(turn, index),
            Effect::Accepted {
                id: ProposalId(_),
                position,
            } => self.verdict = Some(Verdict::Accepted(position)),
            Effect::Refused {
                id: ProposalId(_),
                reason,
                payload: _,
            } => self.verdict = Some(Verdict::Refused(reason)),
            Effect::ReadReady { id, index } => self.read_ready(turn, id, index),
            Effect::ReadRefused { id, reason } => self.read_refused(turn, id, reason),
            Effect::TransferEnded { id, outcome } => self.transferred(turn, id, outcome),
            Effect::ConfigurationCommitted { configuration } => {
                self.configuration_committed(turn, configuration);
            }
            Effect::LeaderChanged { term, leader } => self.leader_changed(turn, term, leader),
            Effect::Fatal { reason } => self.stop(turn, reason),
        }
    }

    fn write(&mut self, turn: &mut Turn<'_>, id: Option<PersistId>, kind: WriteKind) {
        turn.out.writes.push(Write {
            group: self.id,
            id,
            kind,
        });
    }

    fn committed_up_to(&mut self, turn: &mut Turn<'_>, index: Index) {
        self.commit = self.commit.max(index);
        self.announced = index;
        self.uncommitted = false;
        self.task(turn, Task::Apply { through: index });
        self.settle_changes(turn);
        self.forget_as_witness(turn);
    }

    fn note_entries(&mut self, turn: &mut Turn<'_>, entries: &[Entry]) {
        for entry in entries {
            self.last = entry.index;
            self.tail.append(entry.index, entry.payload.len() as u64);
            if let Ok(time) = payload::time_of(&entry.payload) {
                self.time = self.time.max(time);
            }
        }
        if !entries.is_empty() {
            self.learn_kind(turn);
        }
    }

    fn read_ready(&mut self, turn: &mut Turn<'_>, id: ReadId, index: Index) {
        if let Some(ticket) = self.reads.remove(&id) {
            self.task(turn, Task::Read { ticket, index });
        }
    }

    fn read_refused(&mut self, turn: &mut Turn<'_>, id: ReadId, reason: RefuseReason) {
        if let Some(ticket) = self.reads.remove(&id) {
            turn.refuse(ticket, not_applied(reason));
        }
    }

    fn leader_changed(&mut self, turn: &mut Turn<'_>, term: Term, leader: Option<ReplicaId>) {
        (self.term, self.leader) = (term, leader);
        self.create_at = None;
        self.checkpoint.leader_changed();
        let timeout = turn.config.election_timeout;
        self.changes.leader_changed(self.leads(), turn.now, timeout);
        if self.halted.is_some() {
            self.hand_over.want(turn.now);
        }
        if !self.leads() {
            for ticket in self.queue.drain() {
                turn.refuse(ticket, NotApplied::NotLeader { leader });
            }
        }
        turn.out.leadership.push(LeaderChange {
            group: self.id,
            term,
            leader,
            leads: self.leads(),
        });
    }

    /// Stops the group: its state, its disk or a peer did the impossible.
    fn stop(&mut self, turn: &mut Turn<'_>, reason: String) {
        self.stopped = Some(reason.clone());
        self.wanted.clear();
        self.refuse_waiting(turn);
        self.end_changes(turn);
        turn.out.fatal.push((self.id, reason));
    }

    /// Whether peers wait for entries from the log.
    pub(super) fn wants_log(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Reads entries for lagging peers, as far as this turn's budget goes.
    pub(super) fn read_log(&mut self, turn: &mut Turn<'_>) {
        while turn.log_reads > 0
            && turn.log_read_bytes > 0
            && let Some(wanted) = self.wanted.pop_front()
        {
            turn.log_reads -= 1;
            let Wanted { from, through, .. } = wanted;
            match turn.log.entries(self.id, from, through, wanted.max_bytes) {
                Ok(entries) => {
                    let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
                    turn.log_read_bytes = turn.log_read_bytes.saturating_sub(bytes);
                    let to = wanted.to;
                    self.step(turn, Input::LogRead { to, entries });
                }
                // A compaction overtook the request: the core looks again once it knows the floor.
                Err(LogError::Compacted { .. }) => {
                    let (to, entries) = (wanted.to, Vec::new());
                    self.step(turn, Input::LogRead { to, entries });
                }
                Err(error) => self.stop(turn, error.to_string()),
            }
        }
    }
}

fn native() -> MachineSpec {
    MachineSpec {
        plugin: MachineSpec::NATIVE,
        config: Vec::new(),
        limits: crate::Limits::default(),
        contract: String::new(),
        epoch: 0,
    }
}

fn not_applied(reason: RefuseReason) -> NotApplied {
    match reason {
        RefuseReason::NotLeader { leader } => NotApplied::NotLeader { leader },
        RefuseReason::Busy => NotApplied::Busy,
        RefuseReason::Uncommitted => NotApplied::Uncommitted,
        RefuseReason::Transferring => NotApplied::Transferring,
        RefuseReason::Change(refusal) => NotApplied::Change(refusal),
    }
}
