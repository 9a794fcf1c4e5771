//! Stickiness (thesis §4.2.3) and leases (§6.4.1): whoever heard a leader within an election timeout,
//! or promised it to wait, helps to elect nobody else; and nobody helps a candidate whose term is
//! over or whose log is behind.
//!
//! The check follows what a node receives, in order, by its own clock. Where only the node knows what
//! became of a message it assumes what permits more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coracle_driver::Event;
use coracle_proto::{Envelope, GroupId, Instant, Message, NodeId, ReplicaId, Term, VoteKind};

use super::shadow::Image;
use super::{Check, violated};

/// What the nodes heard and promised.
#[derive(Debug, Default)]
pub(super) struct Stickiness {
    election_timeout: Duration,
    nodes: BTreeMap<NodeId, Ear>,
}

/// One node, in its present life.
#[derive(Debug, Default)]
struct Ear {
    now: Instant,
    /// Its term, or a higher one if it is not sure whether a message was believed.
    term: Term,
    /// A leader of that term was heard then.
    heard: Option<(Term, Instant)>,
    /// Until then it helps nobody.
    promised: Option<Instant>,
    /// Rounds that asked for a promise in this turn.
    rounds: BTreeSet<(ReplicaId, u64)>,
    /// Its log may have changed in this turn.
    log_moves: bool,
    /// Votes it may give.
    permitted: BTreeSet<(Term, ReplicaId, Ballot)>,
}

/// Kinds of vote that stickiness is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ballot {
    Pre,
    Real,
}

impl Stickiness {
    /// With this election timeout.
    pub(super) fn new(election_timeout: Duration) -> Self {
        Self {
            election_timeout,
            ..Self::default()
        }
    }

    /// A node begins a turn with this in its log.
    pub(super) fn takes(&mut self, at: NodeId, now: Instant, log: &Image) {
        let ear = self.nodes.entry(at).or_default();
        ear.now = now;
        ear.term = log.hard_state.term;
        ear.rounds.clear();
        ear.log_moves = false;
    }

    /// In this turn it is told this.
    pub(super) fn told(&mut self, at: NodeId, group: GroupId, event: &Event) {
        let (Event::ForgetLeader { group: of } | Event::Campaign { group: of }) = event else {
            return;
        };
        if *of == group
            && let Some(ear) = self.nodes.get_mut(&at)
        {
            ear.heard = None;
        }
    }

    /// In this turn it receives this, addressed to the replica that it hosts.
    pub(super) fn heard(&mut self, envelope: &Envelope, log: &Image) {
        let timeout = self.election_timeout;
        if let Some(ear) = self.nodes.get_mut(&envelope.to.node) {
            ear.hears(envelope, log, timeout);
        }
    }

    /// A node stopped, and has forgotten what it heard.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.nodes.remove(&at);
    }

    /// Whether a node may vote for itself.
    pub(super) fn is_free(&self, at: NodeId) -> bool {
        self.nodes.get(&at).is_none_or(|ear| !ear.is_bound())
    }

    /// A node sends this.
    pub(super) fn sent(&mut self, envelope: &Envelope) -> Check {
        let Envelope { from, to, term, .. } = envelope;
        let Some(ear) = self.nodes.get_mut(&from.node) else {
            return Ok(());
        };
        let ballot = match envelope.message {
            Message::HeartbeatReply { round, hold, .. } if !hold.is_zero() => {
                // A reply that had to wait counts from a receipt that is not known any more.
                if ear.rounds.contains(&(*to, round)) {
                    ear.promised = ear.promised.max(Some(ear.now + hold));
                }
                return Ok(());
            }
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: true,
            } => Ballot::Pre,
            Message::VoteReply {
                kind: VoteKind::Real,
                granted: true,
            } => Ballot::Real,
            _ => return Ok(()),
        };
        if ear.permitted.contains(&(*term, *to, ballot)) {
            return Ok(());
        }
        violated(
            "stickiness",
            format!(
                "{from} helps {to} in term {term} ({ballot:?}): {}",
                ear.why()
            ),
        )
    }
}

impl Ear {
    fn hears(&mut self, envelope: &Envelope, log: &Image, timeout: Duration) {
        let Envelope { from, term, .. } = envelope;
        let higher = *term > self.term;
        match &envelope.message {
            Message::Vote {
                kind: VoteKind::Pre,
                last,
            } => {
                let behind = *last < log.last() && !self.log_moves;
                let over = *term < log.hard_state.term;
                if !behind && !over && !self.trusts(timeout) && !self.is_bound() {
                    self.permit(*term, *from, Ballot::Pre, log);
                }
            }
            Message::Vote {
                kind: VoteKind::Real,
                ..
            } => {
                let bound = self.is_bound();
                if higher && (bound || self.trusts(timeout)) {
                    return;
                }
                self.term = self.term.max(*term);
                if !bound {
                    self.permit(*term, *from, Ballot::Real, log);
                }
            }
            // Only a candidate that waits for it takes it for an answer.
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: true,
            } => {
                if !self.trusts(timeout) {
                    self.term = self.term.max(*term);
                }
            }
            // If it campaigns at once, what else the old leader says in this turn is not believed.
            Message::TimeoutNow => {
                self.term = self.term.max(term.saturating_add(1));
                self.heard = None;
                self.release();
            }
            message => {
                self.term = self.term.max(*term);
                if *term == self.term {
                    self.hears_leader(*from, message);
                }
                if higher && matches!(message, Message::Vote { .. }) {
                    self.release();
                }
            }
        }
    }

    /// The leader hands over: promises to it are over, those given in this turn as well.
    fn release(&mut self) {
        self.promised = None;
        self.rounds.clear();
    }

    fn hears_leader(&mut self, from: ReplicaId, message: &Message) {
        match message {
            Message::Append { .. } | Message::Snapshot { .. } => self.log_moves = true,
            Message::Heartbeat {
                round, lease: true, ..
            } => {
                self.rounds.insert((from, *round));
            }
            Message::Heartbeat { .. } | Message::Quiesce { .. } => {}
            _ => return,
        }
        self.heard = Some((self.term, self.now));
    }

    fn trusts(&self, timeout: Duration) -> bool {
        self.heard
            .is_some_and(|(term, at)| term == self.term && self.now.since(at) < timeout)
    }

    fn is_bound(&self) -> bool {
        self.promised.is_some_and(|until| self.now < until)
    }

    fn permit(&mut self, term: Term, candidate: ReplicaId, ballot: Ballot, log: &Image) {
        // Nobody is helped into a term that is over.
        let current = log.hard_state.term;
        self.permitted.retain(|(term, ..)| *term >= current);
        self.permitted.insert((term, candidate, ballot));
    }

    fn why(&self) -> String {
        let (now, heard, promised) = (self.now, self.heard, self.promised);
        format!("now {now:?}, leader heard {heard:?}, promised until {promised:?}, or it is behind")
    }
}
