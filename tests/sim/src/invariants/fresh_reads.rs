//! ReadIndex (thesis §6.4) and leases (§6.4.1): a leader grants a read only after a quorum has answered a
//! heartbeat that was sent after the read was asked for, or, if the reader is content with that,
//! while a quorum keeps its promise to help nobody else. Whoever told somebody to campaign has no
//! promise left in that term.
//!
//! The check follows what a node is told and says. Where only the node knows what became of a
//! message it assumes what permits more.

use std::collections::BTreeMap;

use coracle_driver::task::Ticket;
use coracle_proto::{Configuration, Envelope, Instant, Message, NodeId, ReadMode, ReplicaId, Term};

use super::membership::is_quorum;
use super::{Check, violated};

/// Reads and rounds of one node and term that are remembered. Whoever asked before them may read.
const MAX_REMEMBERED: usize = 2000;

/// The reads that wait, and what the leaders were told.
#[derive(Debug, Default)]
pub(super) struct FreshReads {
    nodes: BTreeMap<NodeId, Reign>,
}

/// One node in one term of its present life.
#[derive(Debug, Default)]
struct Reign {
    term: Term,
    /// Counts its turns.
    turn: u64,
    now: Instant,
    /// How each read was asked for, and in which turn.
    asked: BTreeMap<Reader, (ReadMode, u64)>,
    /// In which turn each round of heartbeats was first sent, and when.
    rounds: BTreeMap<u64, (u64, Instant)>,
    /// The last round that each peer has answered.
    echoes: BTreeMap<ReplicaId, u64>,
    /// Until when each peer helps nobody else.
    promises: BTreeMap<ReplicaId, Instant>,
    /// In this turn it first told somebody to campaign.
    let_go: Option<u64>,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reader {
    /// A client of this node.
    Local(Ticket),
    /// Another replica, by its own number.
    Peer(ReplicaId, u64),
}

impl FreshReads {
    /// A node that is in `term` begins a turn.
    pub(super) fn takes(&mut self, at: NodeId, now: Instant, term: Term) {
        let reign = self.nodes.entry(at).or_default();
        reign.enter(term);
        reign.turn += 1;
        reign.now = now;
    }

    /// In this turn a client asks it for a read point.
    pub(super) fn told(&mut self, at: NodeId, ticket: Ticket, mode: ReadMode) {
        if let Some(reign) = self.nodes.get_mut(&at) {
            reign.ask(Reader::Local(ticket), mode);
        }
    }

    /// In this turn it receives this, addressed to the replica that it hosts.
    pub(super) fn heard(&mut self, envelope: &Envelope) {
        let Envelope { from, to, term, .. } = *envelope;
        let Some(reign) = self.nodes.get_mut(&to.node) else {
            return;
        };
        match envelope.message {
            Message::ReadIndex { round, mode } => reign.ask(Reader::Peer(from, round), mode),
            Message::HeartbeatReply { round, hold, .. } if term == reign.term => {
                let echo = reign.echoes.entry(from).or_default();
                *echo = round.max(*echo);
                if let Some((_, sent)) = reign.rounds.get(&round) {
                    let promise = reign.promises.entry(from).or_default();
                    *promise = (*sent + hold).max(*promise);
                }
            }
            _ => {}
        }
    }

    /// A node stopped, and has forgotten what it was told.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.nodes.remove(&at);
    }

    /// A node sends this. `configuration`: gives the one that it counts by, if that is sure.
    pub(super) fn sent(
        &mut self,
        envelope: &Envelope,
        configuration: impl FnOnce() -> Option<Configuration>,
    ) -> Check {
        let Envelope { from, to, term, .. } = *envelope;
        let Some(reign) = self.nodes.get_mut(&from.node) else {
            return Ok(());
        };
        match envelope.message {
            Message::Heartbeat { round, .. } => {
                reign.enter(term);
                let first = (reign.turn, reign.now);
                reign.rounds.entry(round).or_insert(first);
                if reign.rounds.len() > MAX_REMEMBERED {
                    reign.rounds.pop_first();
                }
                Ok(())
            }
            Message::TimeoutNow => {
                reign.enter(term);
                reign.let_go.get_or_insert(reign.turn);
                Ok(())
            }
            Message::ReadIndexReply {
                round,
                index: Some(_),
            } if term == reign.term => reign.grants(from, Reader::Peer(to, round), configuration),
            _ => Ok(()),
        }
    }

    /// A leader lets a client of its node read.
    pub(super) fn granted(
        &mut self,
        leader: ReplicaId,
        ticket: Ticket,
        configuration: impl FnOnce() -> Option<Configuration>,
    ) -> Check {
        match self.nodes.get_mut(&leader.node) {
            Some(reign) => reign.grants(leader, Reader::Local(ticket), configuration),
            None => Ok(()),
        }
    }
}

impl Reign {
    fn enter(&mut self, term: Term) {
        if term > self.term {
            let (turn, now) = (self.turn, self.now);
            *self = Self {
                term,
                turn,
                now,
                ..Self::default()
            };
        }
    }

    fn ask(&mut self, reader: Reader, mode: ReadMode) {
        if self.asked.len() == MAX_REMEMBERED {
            self.asked.clear();
        }
        let turn = self.turn;
        self.asked.entry(reader).or_insert((mode, turn));
    }

    fn grants(
        &mut self,
        own: ReplicaId,
        reader: Reader,
        configuration: impl FnOnce() -> Option<Configuration>,
    ) -> Check {
        // It is not forgotten: a peer's question may arrive several times, and only the core knows whether
        // one of them still waits.
        let Some((mode, asked)) = self.asked.get(&reader).copied() else {
            return Ok(());
        };
        let Some(configuration) = configuration() else {
            return Ok(());
        };
        let mut rounds = self.rounds.iter();
        let round = rounds.find(|(_, (sent, _))| *sent >= asked);
        let round = round.map_or(u64::MAX, |(round, _)| *round);
        let answered =
            |id: &ReplicaId| *id == own || self.echoes.get(id).is_some_and(|echo| *echo >= round);
        let promised = |id: &ReplicaId| {
            *id == own || self.promises.get(id).is_some_and(|until| *until > self.now)
        };
        let let_go = self.let_go.is_some_and(|turn| turn < self.turn);
        let by_lease = mode == ReadMode::Lease && !let_go;
        if is_quorum(&configuration, answered) || by_lease && is_quorum(&configuration, promised) {
            return Ok(());
        }
        let term = self.term;
        violated(
            "fresh reads",
            format!(
                "{own} grants {reader:?} ({mode:?}) in term {term}: {configuration} have answered \
                 {:?}, asked was before {round}, promised until {:?}, now {:?}, handed over {let_go}",
                self.echoes, self.promises, self.now
            ),
        )
    }
}
