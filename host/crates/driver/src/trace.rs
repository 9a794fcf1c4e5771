//! What a node does, as lines of text that a specification of Raft can judge: `docs/testing.md`
//! names the events.
//!
//! A line says what a replica asked its disk to write, what it was told is durable, which votes and
//! acknowledgements leave it, and what it took for committed. Whoever keeps a trace writes the lines
//! of a turn before anything of its [`Outbox`] leaves the node: then a node that is killed has told
//! whatever others know of it.

use std::fmt::{self, Display, Write as _};

use coracle_proto::{
    AppendOutcome, Configuration, Entry, EntryKind, Envelope, GroupId, HardState, LogId, Message,
    NodeId, ReplicaId, VoteKind,
};

use crate::task::Task;
use crate::{Event, Outbox, Recovered, Write, WriteKind};

/// Turns what a node does into lines of JSON, numbered over all its lives.
#[derive(Debug, Clone)]
pub struct Tracer {
    node: NodeId,
    next: u64,
}

impl Tracer {
    /// For this node, whose trace has `lines` lines so far.
    pub fn new(node: NodeId, lines: u64) -> Self {
        Self { node, next: lines }
    }

    /// The node starts with this.
    pub fn started(&mut self, recovered: &Recovered, out: &mut String) {
        self.line(out, GroupId(0), format_args!(r#""event":"boot""#));
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
        if let Event::Persisted { group, id } = event {
            self.line(
                out,
                *group,
                format_args!(r#""event":"durable","id":"{id}""#),
            );
        }
    }

    /// The node's turn came to this.
    pub fn turned(&mut self, outbox: &Outbox, out: &mut String) {
        for write in &outbox.writes {
            self.write(write, out);
        }
        for change in outbox.leadership.iter().filter(|change| change.leads) {
            let what = format_args!(r#""event":"leads","term":{}"#, change.term);
            self.line(out, change.group, what);
        }
        for envelope in &outbox.sends {
            self.send(envelope, out);
        }
        for (group, task) in &outbox.tasks {
            if let Task::Apply { through } = task {
                let what = format_args!(r#""event":"commit","index":{through}"#);
                self.line(out, *group, what);
            }
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

    /// Of messages only those that promise something.
    fn send(&mut self, envelope: &Envelope, out: &mut String) {
        let (group, term, to) = (envelope.group, envelope.term, envelope.to);
        match &envelope.message {
            Message::VoteReply {
                kind: VoteKind::Real | VoteKind::Transfer,
                granted: true,
            } => {
                let what = format_args!(r#""event":"grants","term":{term},"to":"{to}""#);
                self.line(out, group, what);
            }
            Message::AppendReply(AppendOutcome::Matched { index }) => {
                let what = format_args!(r#""event":"acknowledges","term":{term},"index":{index}"#);
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
