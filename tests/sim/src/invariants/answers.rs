//! A replica answers what was asked of it, and nothing else: not what was said to the replica whose place it
//! took, which had another log and another vote.

use std::collections::{BTreeMap, VecDeque};

use coracle_driver::Event;
use coracle_proto::{Envelope, GroupId, Message, NodeId, ReplicaId};

use super::{Check, violated};

/// Questions of one kind by one asker that are remembered.
const MAX_REMEMBERED: usize = 1000;

/// The round of an answer that confirms none.
const NO_ROUND: u64 = 0;

/// What the nodes were asked in their present lives.
#[derive(Debug, Default)]
pub(super) struct Answers {
    nodes: BTreeMap<NodeId, BTreeMap<Asked, VecDeque<u64>>>,
}

/// Who was asked by whom, and what.
type Asked = (ReplicaId, ReplicaId, Question);

/// Each has a number, which the answer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// A heartbeat, by its round.
    Alive,
    /// Entries or a snapshot; all of them have the same number.
    Append,
    /// A read point.
    Read,
}

impl Answers {
    /// A node receives this, for whichever replica.
    pub(super) fn heard(&mut self, envelope: &Envelope) {
        let (question, number) = match &envelope.message {
            Message::Heartbeat { round, .. } => (Question::Alive, *round),
            Message::Quiesce { .. } | Message::Wake => (Question::Alive, NO_ROUND),
            Message::Append { .. } | Message::Snapshot { .. } => (Question::Append, 0),
            Message::ReadIndex { round, .. } => (Question::Read, *round),
            _ => return,
        };
        if question == Question::Alive {
            // Of an older term it is answered as well, without an echo.
            self.ask(envelope.from, envelope.to, question, NO_ROUND);
        }
        self.ask(envelope.from, envelope.to, question, number);
    }

    /// A node is told this.
    pub(super) fn told(&mut self, event: &Event, group: GroupId) {
        if let Event::SnapshotArrived {
            group: of,
            from,
            to,
            ..
        } = event
            && *of == group
        {
            self.ask(*from, *to, Question::Append, 0);
        }
    }

    fn ask(&mut self, from: ReplicaId, to: ReplicaId, question: Question, number: u64) {
        let node = self.nodes.entry(to.node).or_default();
        let numbers = node.entry((to, from, question)).or_default();
        // Mostly the last one.
        if numbers.iter().rev().any(|known| *known == number) {
            return;
        }
        if numbers.len() == MAX_REMEMBERED {
            numbers.pop_front();
        }
        numbers.push_back(number);
    }

    /// A node stopped, and has forgotten what it was asked.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.nodes.remove(&at);
    }

    /// A node sends this.
    pub(super) fn sent(&self, envelope: &Envelope) -> Check {
        let (question, number) = match &envelope.message {
            Message::HeartbeatReply { round, .. } => (Question::Alive, *round),
            Message::AppendReply(_) => (Question::Append, 0),
            Message::ReadIndexReply { round, .. } => (Question::Read, *round),
            _ => return Ok(()),
        };
        let Envelope { from, to, .. } = *envelope;
        let node = self.nodes.get(&from.node);
        let numbers = node.and_then(|node| node.get(&(from, to, question)));
        if numbers.is_some_and(|it| it.iter().rev().any(|known| *known == number)) {
            return Ok(());
        }
        violated(
            "answers",
            format!("{from} answers {to} ({question:?} {number}), which has not asked it"),
        )
    }
}
