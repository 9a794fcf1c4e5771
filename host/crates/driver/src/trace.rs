//! What a node does, as lines of text that a specification of Raft can judge: `docs/testing.md`
//! names the events.
//!
//! A line says what a replica asked its disk to write, what it was told is durable, which votes and
//! acknowledgements leave it, what it took for committed, and how it came to its read points. Whoever keeps a trace writes the lines
//! of a turn before anything of its [`Outbox`] leaves the node: then a node that is killed has told
//! whatever others know of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write as _};

use coracle_proto::{
    AppendOutcome, Configuration, Entry, EntryKind, Envelope, GroupId, HardState, LogId, Message,
    NodeId, ReadMode, ReplicaId, Term, VoteKind,
};

use crate::task::Task;
use crate::{Event, LeaderChange, NodeConfig, Outbox, Recovered, Write, WriteKind};

/// Turns what a node does into lines of JSON, numbered over all its lives.
#[derive(Debug, Clone)]
pub struct Tracer {
    node: NodeId,
    next: u64,
    pre_vote: bool,
    /// Groups that this node leads.
    leads: BTreeSet<GroupId>,
    /// The round of heartbeats that was told last, of each group that this node leads or led.
    rounds: BTreeMap<GroupId, (Term, u64)>,
    /// The echo that was told last, of each group.
    echoes: BTreeMap<GroupId, Echo>,
}

/// What an answer to a heartbeat says: the leader's round, and whether something is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Echo {
    term: Term,
    to: ReplicaId,
    round: u64,
    promised: bool,
}

impl Tracer {
    /// For the node with these settings, whose trace has `lines` lines so far.
    pub fn new(config: &NodeConfig, lines: u64) -> Self {
        Self {
            node: config.id,
            next: lines,
            pre_vote: config.pre_vote,
            leads: BTreeSet::new(),
            rounds: BTreeMap::new(),
            echoes: BTreeMap::new(),
        }
    }

    /// The node starts with this.
    pub fn started(&mut self, recovered: &Recovered, out: &mut String) {
        self.leads.clear();
        self.rounds.clear();
        self.echoes.clear();
        let pre_vote = self.pre_vote;
        let boot = format_args!(r#""event":"boot","pre_vote":{pre_vote}"#);
        self.line(out, GroupId(0), boot);
        for (group, found) in &recovered.groups {
            let HardState { term, vote } = found.initial.hard_state;
            let terms = found.initial.terms.last();
            let floor = found.initial.floor;
            let last = LogId {
                term: terms.map_or(floor.term, |run| run.term),
                index: found.initial.last,
            };
            let (born, vote) = (found.born, Vote(vote));
            let (floor, last) = (Id(floor), Id(last));
            let what = format_args!(
                r#""event":"start","born":{born},"term":{term},"vote":{vote},"floor":{floor},"last":{last}"#
            );
            self.line(out, *group, what);
        }
    }

    /// The node is about to take this event.
    pub fn takes(&mut self, event: &Event, out: &mut String) {
        match event {
            Event::Persisted { group, id } => {
                let what = format_args!(r#""event":"durable","id":"{id}""#);
                self.line(out, *group, what);
            }
            Event::Read {
                group,
                mode,
                ticket,
            } => {
                let (ticket, lease) = (ticket.0, *mode == ReadMode::Lease);
                let what = format_args!(r#""event":"reads","ticket":{ticket},"lease":{lease}"#);
                self.line(out, *group, what);
            }
            Event::Received(envelopes) => {
                envelopes.iter().for_each(|it| self.hears(it, out));
            }
            _ => {}
        }
    }

    /// Of what others ask only that whose answer is judged.
    fn hears(&mut self, envelope: &Envelope, out: &mut String) {
        let (group, term, by) = (envelope.group, envelope.term, envelope.from);
        match &envelope.message {
            Message::Vote {
                kind: VoteKind::Pre,
                ..
            } => {
                let what = format_args!(r#""event":"hears_pre_vote","term":{term},"by":"{by}""#);
                self.line(out, group, what);
            }
            Message::ReadIndex { round, mode } => {
                let lease = *mode == ReadMode::Lease;
                let what = format_args!(
                    r#""event":"hears_question","by":"{by}","round":{round},"lease":{lease}"#
                );
                self.line(out, group, what);
            }
            _ => {}
        }
    }

    /// The node's turn came to this. What is said and taken for committed rests on what was durable
    /// before, and may be of a replica that ends with the turn: so writes come last.
    pub fn turned(&mut self, outbox: &Outbox, out: &mut String) {
        for change in &outbox.leadership {
            self.leadership(change, out);
        }
        for envelope in &outbox.sends {
            self.send(envelope, out);
        }
        for (group, task) in &outbox.tasks {
            match task {
                Task::Apply { through } => {
                    let what = format_args!(r#""event":"commit","index":{through}"#);
                    self.line(out, *group, what);
                }
                Task::Read { ticket, index } => {
                    let ticket = ticket.0;
                    let what =
                        format_args!(r#""event":"read_point","ticket":{ticket},"index":{index}"#);
                    self.line(out, *group, what);
                }
                _ => {}
            }
        }
        for write in &outbox.writes {
            self.write(write, out);
        }
    }

    fn leadership(&mut self, change: &LeaderChange, out: &mut String) {
        let LeaderChange { group, term, .. } = *change;
        if change.leads {
            self.leads.insert(group);
            self.line(out, group, format_args!(r#""event":"leads","term":{term}"#));
        } else if self.leads.remove(&group) {
            self.line(out, group, format_args!(r#""event":"steps_down""#));
        }
    }

    fn write(&mut self, write: &Write, out: &mut String) {
        let Some(id) = write.id else {
            return;
        };
        let group = write.group;
        match &write.kind {
            WriteKind::Host { floor, born } => {
                let configuration = Voters(&floor.configuration);
                let what = format_args!(
                    r#""event":"host","id":"{id}","born":{born},"configuration":{configuration}"#
                );
                self.line(out, group, what);
            }
            WriteKind::Append {
                hard_state,
                entries,
            } => {
                let (hard_state, entries) = (Hard(*hard_state), Entries(entries));
                let what = format_args!(
                    r#""event":"write","id":"{id}","hard_state":{hard_state},"entries":[{entries}]"#
                );
                self.line(out, group, what);
            }
            WriteKind::Install {
                hard_state, floor, ..
            } => {
                let (hard_state, last) = (Hard(*hard_state), Id(floor.last));
                let what = format_args!(
                    r#""event":"install","id":"{id}","hard_state":{hard_state},"last":{last}"#
                );
                self.line(out, group, what);
            }
            WriteKind::Compact { floor } => {
                let last = Id(floor.last);
                let what = format_args!(r#""event":"compact","id":"{id}","last":{last}"#);
                self.line(out, group, what);
            }
            WriteKind::Remove => {
                self.line(out, group, format_args!(r#""event":"remove","id":"{id}""#));
            }
            WriteKind::Applied { .. } => {}
        }
    }

    /// Of messages only those that promise something, or that a promise rests on.
    fn send(&mut self, envelope: &Envelope, out: &mut String) {
        let (group, term, to) = (envelope.group, envelope.term, envelope.to);
        match &envelope.message {
            Message::Vote {
                kind: VoteKind::Pre,
                last,
            } => {
                let last = Id(*last);
                let what = format_args!(r#""event":"asks_pre_vote","term":{term},"last":{last}"#);
                self.line(out, group, what);
            }
            Message::VoteReply {
                kind,
                granted: true,
            } => {
                let event = match kind {
                    VoteKind::Pre => "grants_pre_vote",
                    VoteKind::Real | VoteKind::Transfer => "grants",
                };
                let what = format_args!(r#""event":"{event}","term":{term},"to":"{to}""#);
                self.line(out, group, what);
            }
            Message::AppendReply(AppendOutcome::Matched { index }) => {
                let what = format_args!(r#""event":"acknowledges","term":{term},"index":{index}"#);
                self.line(out, group, what);
            }
            Message::TimeoutNow => {
                let what = format_args!(r#""event":"hands_over","term":{term},"to":"{to}""#);
                self.line(out, group, what);
            }
            _ => self.send_for_reads(envelope, out),
        }
    }

    /// Rounds of heartbeats, told once each, and questions for a read point.
    fn send_for_reads(&mut self, envelope: &Envelope, out: &mut String) {
        let (group, term, to) = (envelope.group, envelope.term, envelope.to);
        match &envelope.message {
            Message::Heartbeat { round, .. }
                if *round > 0
                    && self.rounds.insert(group, (term, *round)) != Some((term, *round)) =>
            {
                let what = format_args!(r#""event":"round","term":{term},"round":{round}"#);
                self.line(out, group, what);
            }
            Message::HeartbeatReply { round, hold, .. } if *round > 0 => {
                let (round, promised) = (*round, !hold.is_zero());
                let echo = Echo {
                    term,
                    to,
                    round,
                    promised,
                };
                if self.echoes.insert(group, echo) != Some(echo) {
                    let what = format_args!(
                        r#""event":"echoes","term":{term},"to":"{to}","round":{round},"promised":{promised}"#
                    );
                    self.line(out, group, what);
                }
            }
            Message::ReadIndex { round, .. } => {
                let what = format_args!(r#""event":"asks","to":"{to}","round":{round}"#);
                self.line(out, group, what);
            }
            Message::ReadIndexReply {
                round,
                index: Some(index),
            } => {
                let what = format_args!(
                    r#""event":"tells","term":{term},"to":"{to}","round":{round},"index":{index}"#
                );
                self.line(out, group, what);
            }
            _ => {}
        }
    }

    fn line(&mut self, out: &mut String, group: GroupId, what: fmt::Arguments<'_>) {
        let (node, seq) = (self.node.0, self.next);
        self.next += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            r#"{{"node":{node},"seq":{seq},"group":{},{what}}}"#,
            group.0
        );
    }
}

struct Id(LogId);

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogId { term, index } = self.0;
        write!(f, r#"{{"term":{term},"index":{index}}}"#)
    }
}

struct Vote(Option<ReplicaId>);

impl Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(vote) => write!(f, r#""{vote}""#),
            None => write!(f, "null"),
        }
    }
}

struct Hard(Option<HardState>);

impl Display for Hard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(HardState { term, vote }) => {
                let vote = Vote(vote);
                write!(f, r#"{{"term":{term},"vote":{vote}}}"#)
            }
            None => write!(f, "null"),
        }
    }
}

struct Entries<'a>(&'a [Entry]);

impl Display for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (term, index) = (entry.term, entry.index);
            write!(f, r#"{comma}{{"term":{term},"index":{index}"#)?;
            match entry.kind {
                EntryKind::Configuration => {
                    if let Ok(configuration) = Configuration::decode(&entry.payload) {
                        write!(f, r#","configuration":{}"#, Voters(&configuration))?;
                    }
                }
                // A witness keeps commands without their payload.
                EntryKind::Normal if !entry.payload.is_empty() => {
                    write!(f, r#","digest":{}"#, digest(&entry.payload))?;
                }
                EntryKind::Normal | EntryKind::Noop => {}
            }
            write!(f, "}}")?;
        }
        Ok(())
    }
}

struct Voters<'a>(&'a Configuration);

impl Display for Voters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"voters":["#)?;
        names(f, self.0.voters.iter())?;
        write!(f, r#"],"outgoing":["#)?;
        names(f, self.0.outgoing.iter())?;
        write!(f, "]}}")
    }
}

fn names<'a>(f: &mut fmt::Formatter<'_>, ids: impl Iterator<Item = &'a ReplicaId>) -> fmt::Result {
    for (at, id) in ids.enumerate() {
        let comma = if at > 0 { "," } else { "" };
        write!(f, r#"{comma}"{id}""#)?;
    }
    Ok(())
}

/// FNV-1a: the same in every build, and good enough to see that two payloads differ.
fn digest(payload: &[u8]) -> u64 {
    payload.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
