//! One node: the core, an in-memory disk, and what a driver does between them, in steps that a
//! script can take one at a time.

use std::collections::VecDeque;
use std::time::Duration;

use coracle_proto::{
    Config, Configuration, Effect, Entry, GroupId, HardState, Index, Input, Instant, LogId, Raft,
    ReplicaId, Role, SnapshotMeta, Term, TimeoutKind,
};

use crate::cluster::Disk;

pub(crate) const GROUP: GroupId = GroupId(1);
/// One tick of the scripts.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// The options of `add-nodes`.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) async_writes: bool,
    /// Bytes applied per ready; at least one entry is.
    pub(crate) max_applied_bytes: usize,
    pub(crate) election_ticks: u32,
    pub(crate) config: Config,
}

/// One node, with everything between its core and its disk under the script's control.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    /// Time stands still on a node that is not ticked.
    now: Instant,
    /// What the core asked for and the script has not let happen.
    pub(crate) ready: Vec<Effect>,
    /// Batches of writes handed to the append thread, oldest first.
    pub(crate) appends: VecDeque<Vec<Effect>>,
    /// Ends of ranges handed to the apply thread, oldest first.
    pub(crate) applies: VecDeque<Index>,
    /// Told to be applied.
    pub(crate) committed: Index,
    /// Handed to the apply thread.
    pub(crate) handed: Index,
    pub(crate) applied: Index,
    /// What the state machine holds: all payloads, one after the other.
    pub(crate) state: Vec<u8>,
    /// The newest snapshot: one is taken after each entry.
    pub(crate) snapshot: SnapshotMeta,
    /// Ticks until an election in this term, where the script has set them.
    election: Option<(Term, u32)>,
}

impl Node {
    /// A node whose log begins after a snapshot with this end.
    pub(crate) fn new(
        id: ReplicaId,
        options: &Options,
        last: LogId,
        configuration: &Configuration,
        state: &[u8],
    ) -> Self {
        let snapshot = SnapshotMeta {
            last,
            configuration: configuration.clone(),
        };
        let disk = Disk {
            hard_state: HardState::default(),
            floor: last,
            snapshot: (last.index > 0).then(|| snapshot.clone()),
            configuration: configuration.clone(),
            entries: Vec::new(),
        };
        let config = Config {
            id,
            ..options.config.clone()
        };
        let now = Instant(0);
        Self {
            raft: Raft::new(config, disk.initial(), now, 0),
            disk,
            options: options.clone(),
            now,
            ready: Vec::new(),
            appends: VecDeque::new(),
            applies: VecDeque::new(),
            committed: last.index,
            handed: last.index,
            applied: last.index,
            state: state.to_vec(),
            snapshot,
            election: None,
        }
    }

    pub(crate) fn id(&self) -> ReplicaId {
        self.raft.status().id
    }

    pub(crate) fn term(&self) -> Term {
        self.raft.status().hard_state.term
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.role() == Role::Leader
    }

    /// Feeds one input; what is asked of the log is answered at once, all else waits for a ready.
    pub(crate) fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.raft.step(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::ReadLog {
                    to, from, through, ..
                } => {
                    let entries = self.read(from, through);
                    self.step(Input::LogRead { to, entries });
                }
                other => self.ready.push(other),
            }
        }
    }

    /// Lets time pass; what is due happens.
    pub(crate) fn tick(&mut self) {
        self.now = self.now + TICK;
        // One election and one heartbeat can be due at once, and each puts its timer off.
        for _ in 0..4 {
            match self.due() {
                Some(kind) => self.step(Input::Timeout { kind, jitter: 0 }),
                None => return,
            }
        }
    }

    pub(crate) fn set_election_ticks(&mut self, ticks: u32) {
        self.election = Some((self.term(), ticks));
    }

    /// Every wait of the core is one timeout, the jitter being zero; a script may draw it out.
    fn due(&self) -> Option<TimeoutKind> {
        let (mut at, kind) = self.raft.deadline()?;
        if let (TimeoutKind::Election, false, Some((term, ticks))) =
            (kind, self.leads(), self.election)
            && term == self.term()
        {
            let more = ticks.saturating_sub(self.options.election_ticks);
            at = at + TICK * more;
        }
        (at <= self.now).then_some(kind)
    }

    fn read(&self, from: Index, through: Index) -> Vec<Entry> {
        let entries = (from..=through).map_while(|index| self.disk.entry(index));
        entries.cloned().collect()
    }

    /// A batch of writes is durable.
    pub(crate) fn write(&mut self, batch: Vec<Effect>) {
        for effect in batch {
            self.disk.write(&effect);
            let id = match effect {
                Effect::Persist { id, .. } | Effect::InstallSnapshot { id, .. } => id,
                other => panic!("not a write: {other}"),
            };
            self.step(Input::Persisted { id });
        }
    }

    /// The end of what the next ready may hand to the state machine.
    pub(crate) fn next_apply(&self) -> Option<Index> {
        let mut bytes = 0;
        let mut end = None;
        for index in self.handed + 1..=self.committed {
            bytes += self.disk.entry(index).map_or(0, |e| e.payload.len() + 1);
            if end.is_some() && bytes > self.options.max_applied_bytes {
                break;
            }
            end = Some(index);
        }
        end
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.handed < self.committed
    }
}
