//! The core under any sequence of messages and inputs: it never panics, and what it says of itself
//! holds, whatever peers claim.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use coracle_fuzz::Tape;
use coracle_proto::{
    AppendOutcome, Change, Config, Configuration, ConfigurationChange, DEFAULT_PRIORITY, Effect,
    Effects, Entry, EntryKind, Envelope, GroupId, HardState, Index, Initial, Input, Instant, LogId,
    Message, NodeId, PersistId, ProposalId, Raft, ReadId, ReadMode, ReplicaId, Settings,
    SnapshotMeta, Status, Term, TimeoutKind, TransferId, Transition, VoteKind,
};

const GROUP: GroupId = GroupId(7);

/// Steps of one run, at most.
const MAX_STEPS: usize = 200;

fn replica(node: u64, born: Index) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born,
    }
}

/// Small windows, so that every limit is met.
fn config(tape: &mut Tape<'_>) -> Config {
    let flags = tape.byte();
    Config {
        group: GROUP,
        id: replica(1, 0),
        election_timeout: Duration::from_millis(1000),
        heartbeat_interval: Duration::from_millis(100),
        pre_vote: flags & 1 > 0,
        check_quorum: flags & 2 > 0,
        max_append_bytes: 64,
        max_append_entries: 3,
        max_inflight_appends: 2,
        max_inflight_bytes: 128,
        max_uncommitted_bytes: 200,
        cache_bytes: 40,
        max_pending_reads: 4,
        priority: DEFAULT_PRIORITY,
        clock_drift: Duration::from_millis(100),
        quiesce_after: u32::from(flags >> 2 & 1) * 3,
    }
}

/// The replica and what a driver keeps for it.
struct Rig {
    raft: Raft,
    now: Instant,
    pending: VecDeque<PersistId>,
    /// What was given to the disk.
    log: BTreeMap<Index, Entry>,
    floor: LogId,
    hard_state: HardState,
    reads: VecDeque<(ReplicaId, Index, Index)>,
    snapshots: VecDeque<ReplicaId>,
    commit: Index,
    applied: Index,
    next_id: u64,
    /// Proposals and reads without an answer.
    open: BTreeMap<u64, ()>,
    fatal: bool,
}

impl Rig {
    fn new(tape: &mut Tape<'_>) -> Self {
        let voters = 1 + tape.byte() % 3;
        let initial = Initial {
            configurations: vec![Configuration::initial((1..=u64::from(voters)).map(NodeId))],
            ..Initial::default()
        };
        Self {
            raft: Raft::new(config(tape), initial, Instant(0), 0),
            now: Instant(0),
            pending: VecDeque::new(),
            log: BTreeMap::new(),
            floor: LogId::default(),
            hard_state: HardState::default(),
            reads: VecDeque::new(),
            snapshots: VecDeque::new(),
            commit: 0,
            applied: 0,
            next_id: 0,
            open: BTreeMap::new(),
            fatal: false,
        }
    }

    fn step(&mut self, input: Input) {
        let before = self.raft.status();
        let mut effects = Effects::new();
        self.raft.step(self.now, input, &mut effects);
        for effect in effects {
            self.effect(effect);
        }
        if !self.fatal {
            self.check(&before, &self.raft.status());
        }
    }

    /// Carries an effect out, and checks what may be asked of it.
    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Persist {
                id,
                hard_state,
                entries,
            } => {
                self.persist(id, hard_state);
                self.append(entries);
            }
            Effect::InstallSnapshot {
                id,
                hard_state,
                meta,
                truncate,
            } => {
                self.persist(id, hard_state);
                assert!(meta.last.index > self.floor.index, "installs go forward");
                let keep = |index: &Index| !truncate && *index > meta.last.index;
                self.log.retain(|index, _| keep(index));
                self.floor = meta.last;
                self.applied = self.applied.max(meta.last.index);
            }
            Effect::ReadLog {
                to, from, through, ..
            } => {
                assert!(from <= through, "a range");
                self.reads.push_back((to, from, through));
            }
            Effect::SendSnapshot { to } => self.snapshots.push_back(to),
            Effect::Commit { index } => {
                assert!(index >= self.commit, "commits go forward");
                self.commit = index;
            }
            Effect::Accepted {
                id: ProposalId(id), ..
            }
            | Effect::Refused {
                id: ProposalId(id), ..
            }
            | Effect::ReadReady { id: ReadId(id), .. }
            | Effect::ReadRefused { id: ReadId(id), .. }
            | Effect::TransferEnded {
                id: TransferId(id), ..
            } => {
                assert!(self.open.remove(&id).is_some(), "one answer to {id}");
            }
            Effect::Send(envelope) => {
                assert_eq!(envelope.from, replica(1, 0), "in its own name");
                assert_eq!(envelope.group, GROUP);
            }
            Effect::Fatal { .. } => self.fatal = true,
            Effect::ConfigurationCommitted { .. } | Effect::LeaderChanged { .. } => {}
        }
    }

    fn persist(&mut self, id: PersistId, hard_state: Option<HardState>) {
        self.pending.push_back(id);
        let Some(new) = hard_state else {
            return;
        };
        let old = self.hard_state;
        assert!(new.term >= old.term, "terms go forward");
        assert!(
            new.term > old.term || old.vote.is_none() || new.vote == old.vote,
            "one vote in term {}",
            new.term
        );
        self.hard_state = new;
    }

    fn append(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            assert!(entry.index > self.commit, "what is committed stays");
            let previous = entry.index.checked_sub(1).expect("entries begin at 1");
            assert!(
                previous == self.floor.index || self.log.contains_key(&previous),
                "no gap before {}",
                entry.index
            );
            self.log.split_off(&entry.index);
            self.log.insert(entry.index, entry);
        }
    }

    fn check(&self, before: &Status, after: &Status) {
        assert!(
            after.hard_state.term >= before.hard_state.term,
            "terms go forward"
        );
        assert!(after.commit >= before.commit, "commits go forward");
        assert!(after.commit <= after.last.index, "commits are in the log");
        assert!(self.applied <= after.commit, "what is applied is committed");
        assert!(after.floor.index <= after.commit, "the floor is committed");
        let same_term = after.hard_state.term == before.hard_state.term;
        if let (true, Some(vote)) = (same_term, before.hard_state.vote) {
            assert_eq!(after.hard_state.vote, Some(vote), "one vote a term");
        }
        let kept = self.log.keys().next_back().copied();
        let last = kept.unwrap_or(self.floor.index);
        assert_eq!(
            after.last.index, last,
            "what it believes is what was written"
        );
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.open.insert(self.next_id, ());
        self.next_id
    }
}

/// The number, one less, or up to two more.
fn near(number: u64, by: u8) -> u64 {
    number.saturating_add(u64::from(by % 4)).saturating_sub(1)
}

fn term(tape: &mut Tape<'_>, rig: &Rig) -> Term {
    let now = rig.raft.status().hard_state.term;
    match tape.byte() {
        255 => tape.number(),
        250..255 => u64::MAX - u64::from(tape.byte() % 3),
        byte => near(now, byte),
    }
}

fn index(tape: &mut Tape<'_>, rig: &Rig) -> Index {
    let status = rig.raft.status();
    match tape.byte() {
        255 => tape.number(),
        250..255 => u64::MAX - u64::from(tape.byte() % 3),
        byte @ 0..128 => near(status.last.index, byte),
        byte => near(status.commit, byte),
    }
}

/// An entry that is there, mostly; otherwise whatever.
fn log_id(tape: &mut Tape<'_>, rig: &Rig) -> LogId {
    let index = index(tape, rig);
    let term = match rig.raft.term_at(index) {
        Some(term) if tape.byte() < 200 => term,
        _ => term(tape, rig),
    };
    LogId { term, index }
}

fn members(tape: &mut Tape<'_>) -> std::collections::BTreeSet<ReplicaId> {
    let bits = tape.byte();
    (0..5)
        .filter(|at| bits >> at & 1 > 0)
        .map(|at| replica(at + 1, 0))
        .collect()
}

fn configuration(tape: &mut Tape<'_>, index: Index) -> Configuration {
    match tape.byte() % 3 {
        0 => Configuration {
            index,
            voters: members(tape),
            outgoing: members(tape),
            learners: members(tape),
            learners_next: members(tape),
            witnesses: members(tape),
            auto_leave: tape.flag(),
        },
        _ => Configuration {
            index,
            ..Configuration::initial([1, 2, 3].map(NodeId))
        },
    }
}

fn entries(tape: &mut Tape<'_>, rig: &Rig, prev: LogId, term: Term) -> Vec<Entry> {
    let mut last = prev;
    let count = tape.byte() % 5;
    (0..count)
        .map(|_| {
            let honest = tape.byte() < 245;
            last = match honest {
                true => LogId {
                    index: last.index.saturating_add(1),
                    term: last
                        .term
                        .saturating_add(u64::from(tape.byte() % 2))
                        .min(term),
                },
                false => log_id(tape, rig),
            };
            let kind = *tape.pick(&[
                EntryKind::Normal,
                EntryKind::Normal,
                EntryKind::Noop,
                EntryKind::Configuration,
            ]);
            let payload = match kind {
                EntryKind::Configuration if tape.byte() < 240 => {
                    configuration(tape, last.index).encode()
                }
                EntryKind::Noop => Bytes::new(),
                _ => Bytes::copy_from_slice(tape.bytes(9)),
            };
            Entry {
                term: last.term,
                index: last.index,
                kind,
                payload,
            }
        })
        .collect()
}

fn message(tape: &mut Tape<'_>, rig: &Rig, term: Term) -> Message {
    let vote = *tape.pick(&[VoteKind::Pre, VoteKind::Real, VoteKind::Transfer]);
    let mode = *tape.pick(&[ReadMode::Index, ReadMode::Lease]);
    match tape.byte() % 20 {
        0 => Message::Vote {
            kind: vote,
            last: log_id(tape, rig),
        },
        1..4 => Message::VoteReply {
            kind: vote,
            granted: tape.byte() < 200,
        },
        4..9 => {
            let prev = log_id(tape, rig);
            Message::Append {
                prev,
                entries: entries(tape, rig, prev, term),
                commit: index(tape, rig),
            }
        }
        9 | 10 => Message::AppendReply(AppendOutcome::Matched {
            index: index(tape, rig),
        }),
        11 => Message::AppendReply(AppendOutcome::Rejected {
            rejected: index(tape, rig),
            hint: log_id(tape, rig),
        }),
        12 => Message::Heartbeat {
            commit: index(tape, rig),
            round: tape.small(5),
            lease: tape.flag(),
        },
        13 => Message::HeartbeatReply {
            round: tape.small(9),
            hold: Duration::from_micros(tape.small(2_000_000)),
            priority: tape.byte(),
        },
        14 => {
            let last = log_id(tape, rig);
            let configuration = configuration(tape, last.index);
            Message::Snapshot {
                meta: SnapshotMeta {
                    last,
                    configuration,
                },
            }
        }
        15 => Message::Quiesce {
            last: log_id(tape, rig),
            commit: index(tape, rig),
        },
        16 => Message::TimeoutNow,
        17 => Message::ReadIndex {
            round: tape.small(9),
            mode,
        },
        18 => {
            let granted = tape.flag();
            Message::ReadIndexReply {
                round: tape.small(9),
                index: granted.then(|| index(tape, rig)),
            }
        }
        _ => Message::Wake,
    }
}

fn envelope(tape: &mut Tape<'_>, rig: &Rig) -> Envelope {
    let from = replica(u64::from(2 + tape.byte() % 4), 0);
    let strange = tape.byte();
    let term = term(tape, rig);
    Envelope {
        group: GROUP,
        from: match strange {
            0 => replica(1, 0),
            1 => replica(tape.small(9), tape.small(9)),
            _ => from,
        },
        to: match strange {
            2 => replica(tape.small(9), tape.small(9)),
            _ => replica(1, 0),
        },
        term,
        message: message(tape, rig, term),
    }
}

fn change(tape: &mut Tape<'_>, rig: &Rig) -> ConfigurationChange {
    let count = tape.byte() % 4;
    let changes = (0..count).map(|_| {
        let node = NodeId(u64::from(1 + tape.byte() % 5));
        *tape.pick(&[
            Change::Voter(node),
            Change::Learner(node),
            Change::Witness(node),
            Change::Remove(node),
        ])
    });
    let changes = changes.collect();
    let expected = rig.raft.status().configuration.index;
    ConfigurationChange {
        expect: (tape.flag()).then_some(expected),
        changes,
        transition: *tape.pick(&[Transition::Auto, Transition::Implicit, Transition::Explicit]),
    }
}

fn settings(tape: &mut Tape<'_>) -> Settings {
    Settings {
        election_timeout: Duration::from_millis(200 + u64::from(tape.byte()) * 10),
        heartbeat_interval: Duration::from_millis(10 + u64::from(tape.byte()) % 100),
        max_append_bytes: usize::from(tape.byte()),
        max_append_entries: 1 + usize::from(tape.byte() % 4),
        max_inflight_appends: 1 + usize::from(tape.byte() % 4),
        max_inflight_bytes: usize::from(tape.byte()),
        max_uncommitted_bytes: usize::from(tape.byte()),
        max_pending_reads: usize::from(tape.byte() % 4),
        clock_drift: Duration::from_millis(u64::from(tape.byte())),
        quiesce_after: u32::from(tape.byte() % 4),
    }
}

/// What the driver of this replica says; it keeps to its side of the contract.
fn local(tape: &mut Tape<'_>, rig: &mut Rig) -> Option<Input> {
    let jitter = u64::from(tape.byte());
    Some(match tape.byte() % 24 {
        0..6 => Input::Persisted {
            id: rig.pending.pop_front()?,
        },
        6 | 7 => {
            rig.applied = rig.applied.max(rig.commit);
            Input::Applied { index: rig.applied }
        }
        8 | 9 => timeout(tape, rig, jitter),
        10..13 => Input::Propose {
            id: ProposalId(rig.id()),
            payload: Bytes::copy_from_slice(tape.bytes(12)),
        },
        13 => Input::ChangeConfiguration {
            change: change(tape, rig),
            id: ProposalId(rig.id()),
        },
        14 => Input::Read {
            id: ReadId(rig.id()),
            mode: *tape.pick(&[ReadMode::Index, ReadMode::Lease]),
        },
        15 => Input::Transfer {
            id: TransferId(rig.id()),
            to: (tape.flag()).then(|| NodeId(u64::from(tape.byte() % 6))),
        },
        16 => Input::ForgetLeader,
        17 => Input::SetPriority(tape.byte()),
        18 => {
            let (to, from, through) = rig.reads.pop_front()?;
            let have = rig.log.contains_key(&from) && tape.byte() < 250;
            let found = rig
                .log
                .range(from..=through)
                .map(|(_, entry)| entry.clone());
            let entries = if have { found.collect() } else { Vec::new() };
            Input::LogRead { to, entries }
        }
        19 => Input::SnapshotSent {
            to: rig.snapshots.pop_front()?,
            delivered: tape.flag(),
        },
        20 => compacted(tape, rig)?,
        21 => Input::PeerDown(NodeId(u64::from(tape.byte() % 6))),
        22 => Input::PeerUp(NodeId(u64::from(tape.byte() % 6))),
        _ => match tape.byte() % 2 {
            0 => Input::Configure(settings(tape)),
            _ => Input::Campaign { jitter },
        },
    })
}

fn timeout(tape: &mut Tape<'_>, rig: &mut Rig, jitter: u64) -> Input {
    let kinds = [
        TimeoutKind::Election,
        TimeoutKind::Heartbeat,
        TimeoutKind::Transfer,
        TimeoutKind::Read,
    ];
    let kind = match rig.raft.deadline() {
        Some((at, kind)) if tape.byte() < 200 => {
            rig.now = rig.now.max(at);
            kind
        }
        _ => *tape.pick(&kinds),
    };
    Input::Timeout { kind, jitter }
}

/// Only what is applied, and durable: nothing waits for the disk.
fn compacted(tape: &mut Tape<'_>, rig: &mut Rig) -> Option<Input> {
    let index = rig.applied.checked_sub(u64::from(tape.byte() % 3))?;
    let above = index > rig.floor.index && rig.pending.is_empty();
    let term = rig.raft.term_at(index).filter(|_| above)?;
    let configuration = rig.raft.configuration_at(index)?.clone();
    let floor = LogId { term, index };
    rig.log = rig.log.split_off(&(index + 1));
    rig.floor = floor;
    let snapshot = SnapshotMeta {
        last: floor,
        configuration,
    };
    Some(Input::Compacted { floor, snapshot })
}

fn run(bytes: &[u8]) {
    let mut tape = Tape::new(bytes);
    let mut rig = Rig::new(&mut tape);
    for _ in 0..MAX_STEPS {
        if tape.is_empty() || rig.fatal {
            return;
        }
        let choice = tape.byte();
        rig.now = rig.now + Duration::from_millis(u64::from(choice) / 16);
        let input = match choice % 2 {
            0 => Some(Input::Received(envelope(&mut tape, &rig))),
            _ => local(&mut tape, &mut rig),
        };
        if let Some(input) = input {
            rig.step(input);
        }
    }
}

#[test]
fn raft_step() {
    fuzz!(40_000, 1200, run);
}
