//! Clients: one command at a time, tried again at other nodes until its fate is known.

use bytes::Bytes;
use coracle_driver::task::{Answer, Command, NotApplied, Outcome, Ticket};
use coracle_proto::{GroupId, Index, NodeId, ReadMode};

use crate::invariants::{Check, Invariants};
use crate::plan::{MS, Plan};
use crate::random::Random;

/// What a client asks of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Apply this.
    Command(Command),
    /// A linearizable read.
    Read(ReadMode),
}

/// One operation of a client.
#[derive(Debug)]
struct Operation {
    group: GroupId,
    kind: Kind,
    /// What was answered to anybody when it began.
    floor: Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With an idempotency key: tried until it is answered.
    Keyed,
    /// Without: tried again only after an explicit refusal.
    Bare,
    Read(ReadMode),
    Trap,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    random: Random,
    nodes: u64,
    groups: u64,
    traps: u64,
    leases: u64,
    target: NodeId,
    operation: Option<Operation>,
    /// Number of the operation.
    number: u64,
    /// Number of the attempt, over all operations.
    attempt: u64,
    /// What waits for an answer: its ticket and the body that was sent.
    waiting: Option<(Ticket, Ask)>,
    /// Operations that ended well.
    pub(crate) done: u64,
}

/// What a client wants of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send this, and wake the client if there is no answer for so long.
    Send {
        /// To whom.
        to: NodeId,
        /// In which group.
        group: GroupId,
        /// Its ticket.
        ticket: Ticket,
        /// What.
        ask: Ask,
        /// How long to wait for an answer.
        timeout: u64,
    },
    /// Wake it after so long.
    Sleep(u64),
}

impl Client {
    /// A client that has not asked anything yet.
    pub(crate) fn new(id: u64, plan: &Plan, random: Random) -> Self {
        Self {
            id,
            random,
            nodes: plan.all_nodes(),
            groups: plan.groups,
            traps: plan.traps,
            leases: plan.leases,
            target: NodeId(1),
            operation: None,
            number: 0,
            attempt: 0,
            waiting: None,
            done: 0,
        }
    }

    /// Whether this ticket is of this client.
    pub(crate) fn owns(&self, ticket: Ticket) -> bool {
        ticket.0 >> 40 == self.id
    }

    /// It woke up: to begin something, or because there was no answer to this ticket.
    pub(crate) fn wake(
        &mut self,
        invariants: &Invariants,
        unanswered: Option<Ticket>,
    ) -> Option<Wish> {
        let waiting = self.waiting.as_ref().map(|(ticket, _)| *ticket);
        if waiting != unanswered {
            return None;
        }
        if self.waiting.take().is_some() {
            self.target = self.any_node();
            if self.is(Kind::Bare) {
                self.operation = None;
            }
        }
        Some(self.ask(invariants))
    }

    fn ask(&mut self, invariants: &Invariants) -> Wish {
        if self.operation.is_none() {
            self.number += 1;
            let group = GroupId(self.random.between(1, self.groups));
            let kind = match self.random.below(1000) {
                dice if dice < self.traps => Kind::Trap,
                dice if dice < 250 => Kind::Bare,
                dice if dice < 400 && self.random.chance(self.leases) => {
                    Kind::Read(ReadMode::Lease)
                }
                dice if dice < 400 => Kind::Read(ReadMode::Index),
                _ => Kind::Keyed,
            };
            self.operation = Some(Operation {
                group,
                kind,
                floor: invariants.acknowledged_index(group),
            });
        }
        self.attempt += 1;
        let ticket = Ticket(self.id << 40 | self.attempt);
        let (group, ask) = self.request();
        self.waiting = Some((ticket, ask.clone()));
        Wish::Send {
            to: self.target,
            group,
            ticket,
            ask,
            timeout: self.random.between(300, 1500) * MS,
        }
    }

    fn request(&self) -> (GroupId, Ask) {
        let operation = self.operation.as_ref();
        let kind = operation.map_or(Kind::Read(ReadMode::Index), |operation| operation.kind);
        let group = operation.map_or(GroupId(1), |operation| operation.group);
        let (id, number, attempt) = (self.id, self.number, self.attempt);
        // A new list now and then: every answer holds a whole one.
        let list = number % 3 + 3 * (number / 50);
        let key = (u128::from(id) << 64 | u128::from(number)).to_le_bytes();
        let command = |body: String, key| {
            Ask::Command(Command {
                body: Bytes::from(body),
                key,
            })
        };
        let ask = match kind {
            Kind::Read(mode) => Ask::Read(mode),
            Kind::Trap => command("trap".into(), None),
            Kind::Bare => command(format!("append list{list} b{id}.{number}.{attempt};"), None),
            Kind::Keyed if number % 7 == 0 => command(format!("put k{id} v{number}"), Some(key)),
            Kind::Keyed => command(format!("append list{list} c{id}.{number};"), Some(key)),
        };
        (group, ask)
    }

    /// An answer came: to what it waits for, or to an earlier attempt.
    pub(crate) fn answered(
        &mut self,
        invariants: &mut Invariants,
        ticket: Ticket,
        answer: &Answer,
    ) -> Result<Option<Wish>, crate::Violation> {
        let Some((_, ask)) = self.waiting.take_if(|(waiting, _)| *waiting == ticket) else {
            return Ok(None);
        };
        let Some(operation) = &self.operation else {
            return Ok(None);
        };
        check(invariants, operation, &ask, answer)?;
        Ok(Some(self.go_on(invariants, answer)))
    }

    fn go_on(&mut self, invariants: &Invariants, answer: &Answer) -> Wish {
        match answer {
            Answer::Applied { .. }
            | Answer::ReadAt { .. }
            | Answer::Changed { .. }
            | Answer::Transferred { .. } => {
                self.done += 1;
                self.operation = None;
                if self.random.chance(500) {
                    return self.ask(invariants);
                }
                Wish::Sleep(self.random.below(20 * MS))
            }
            Answer::NotApplied(NotApplied::NotLeader {
                leader: Some(leader),
            }) if leader.node != self.target => {
                self.target = leader.node;
                self.ask(invariants)
            }
            Answer::NotApplied(_) => {
                self.target = self.any_node();
                Wish::Sleep(self.random.between(5, 80) * MS)
            }
            Answer::Unknown { .. } => {
                if self.is(Kind::Bare) {
                    self.operation = None;
                }
                Wish::Sleep(self.random.between(5, 80) * MS)
            }
        }
    }

    fn is(&self, kind: Kind) -> bool {
        let operation = self.operation.as_ref();
        operation.is_some_and(|operation| operation.kind == kind)
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(self.random.between(1, self.nodes))
    }
}

fn check(invariants: &mut Invariants, operation: &Operation, ask: &Ask, answer: &Answer) -> Check {
    let Operation { group, floor, .. } = *operation;
    match (answer, ask) {
        (Answer::Applied { index, outcome, .. }, Ask::Command(command)) => {
            let outcome: &Outcome = outcome;
            invariants.acknowledged(group, &command.body, floor, *index, outcome)
        }
        (Answer::ReadAt { index }, Ask::Read(_)) => invariants.read(group, floor, *index),
        // Refused before or instead of an entry of its own. (What a state machine that never
        // started refuses has an entry.)
        (
            Answer::NotApplied(
                NotApplied::NotLeader { .. }
                | NotApplied::Busy
                | NotApplied::Uncommitted
                | NotApplied::Transferring
                | NotApplied::NoGroup
                | NotApplied::DiskFull
                | NotApplied::Overwritten,
            ),
            Ask::Command(command),
        ) if operation.kind == Kind::Bare => invariants.refused(group, &command.body),
        _ => Ok(()),
    }
}
