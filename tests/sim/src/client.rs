//! Clients: one operation at a time, tried again at other nodes until its fate is known. Each writes
//! down what it asked and was told; the histories of all are checked when the run is over.

mod load;
mod outcome;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use coracle_driver::Reply;
use coracle_driver::task::{Answer, Command, NotApplied, Ticket};
use coracle_history::{Action, Operation as Recorded, Recorder, Session};
use coracle_proto::{GroupId, Index, Instant, NodeId, ReadMode};

use crate::invariants::{Check, Invariants};
use crate::plan::{MS, Plan};
use crate::random::Random;
use load::{Kind, Operation};
pub(crate) use outcome::unversioned;

/// Earlier attempts whose late answers are still of interest.
const LATE_ATTEMPTS: usize = 200;

/// What a client asks of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Apply this.
    Command(Command),
    /// A read point, for a query at another node.
    Read {
        /// How the leader makes sure that it leads.
        mode: ReadMode,
        /// Where the query will be asked.
        at: NodeId,
    },
    /// Answer this from what is applied.
    Query(Query),
}

/// A query, and how old the state may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// For the state machine.
    pub(crate) body: String,
    /// The state must be at least so long.
    pub(crate) min_index: Index,
    /// And no older than so many nanoseconds.
    pub(crate) max_staleness: Option<u64>,
    /// A read point that was granted to this node, and when it had asked for it.
    pub(crate) confirmed: Option<(Index, Instant)>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// The answer, and the index it was asked at.
    Reply(Index, Reply),
    /// The state there may be older than the client wants.
    TooStale,
    /// No answer there for now.
    Nothing,
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
    /// What waits for an answer: its ticket and what was asked.
    waiting: Option<(Ticket, Ask)>,
    recorder: Recorder,
    /// The operations that earlier attempts belong to.
    late: BTreeMap<Ticket, u64>,
    /// The last index that it knows of.
    seen: BTreeMap<GroupId, Index>,
    /// What it has to ask next.
    owed: VecDeque<(GroupId, Kind)>,
    /// Values as it saw them last.
    values: BTreeMap<(GroupId, String), String>,
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
            recorder: Recorder::new(id),
            late: BTreeMap::new(),
            seen: BTreeMap::new(),
            owed: VecDeque::new(),
            values: BTreeMap::new(),
            done: 0,
        }
    }

    /// Whether this ticket is of this client.
    pub(crate) fn owns(&self, ticket: Ticket) -> bool {
        ticket.0 >> 40 == self.id
    }

    /// What it asked and was told so far.
    pub(crate) fn recorded(&self) -> &[Recorded] {
        self.recorder.operations()
    }

    /// It woke up: to begin something, or because there was no answer to this ticket.
    pub(crate) fn wake(
        &mut self,
        now: u64,
        invariants: &Invariants,
        unanswered: Option<Ticket>,
    ) -> Option<Wish> {
        let waiting = self.waiting.as_ref().map(|(ticket, _)| *ticket);
        if waiting != unanswered {
            return None;
        }
        if self.waiting.take().is_some() {
            self.elsewhere();
            self.give_up_unless_keyed();
        }
        Some(self.ask(now, invariants))
    }

    fn ask(&mut self, now: u64, invariants: &Invariants) -> Wish {
        let operation = match self.operation.take() {
            Some(operation) => operation,
            None => self.begin(now, invariants),
        };
        self.attempt += 1;
        let ticket = Ticket(self.id << 40 | self.attempt);
        let (to, ask) = self.request(&operation);
        if let (Ask::Command(_), Some(id)) = (&ask, operation.id) {
            self.late.insert(ticket, id);
            if self.late.len() > LATE_ATTEMPTS {
                self.late.pop_first();
            }
        }
        let group = operation.group;
        self.operation = Some(operation);
        self.waiting = Some((ticket, ask.clone()));
        Wish::Send {
            to,
            group,
            ticket,
            ask,
            timeout: self.random.between(300, 1500) * MS,
        }
    }

    /// Whom to ask, and what.
    fn request(&self, operation: &Operation) -> (NodeId, Ask) {
        let query = |max_staleness, confirmed: Option<(Index, Instant)>| {
            let point = confirmed.map_or(0, |(index, _)| index);
            let query = Query {
                body: operation.action.body(&operation.key),
                min_index: point.max(operation.min_index),
                max_staleness,
                confirmed,
            };
            (operation.node, Ask::Query(query))
        };
        let at = operation.node;
        let read = |mode| (self.target, Ask::Read { mode, at });
        let command = |body: String, key| {
            let body = Bytes::from(body);
            (self.target, Ask::Command(Command { body, key }))
        };
        match (operation.kind, operation.point) {
            (Kind::Trap, _) => command("trap".into(), None),
            (Kind::Bare, _) => command(operation.action.body(&operation.key), None),
            (Kind::Keyed, _) => {
                let key = session_key(self.id, self.number);
                command(operation.action.body(&operation.key), Some(key))
            }
            (Kind::Read(mode), None) => read(mode),
            (Kind::Read(_), point) => query(None, point),
            (Kind::Stale { .. }, None) if operation.confirm => read(ReadMode::Index),
            (Kind::Stale { bound }, point) => query(bound, point),
        }
    }

    /// What it just sent asks for a read point: this is the clock of the node that will be queried.
    pub(crate) fn asked_at(&mut self, clock: Instant) {
        if let Some(operation) = &mut self.operation {
            operation.asked = clock;
        }
    }

    /// An answer came: to what it waits for, or to an earlier attempt.
    pub(crate) fn answered(
        &mut self,
        now: u64,
        invariants: &mut Invariants,
        ticket: Ticket,
        answer: &Answer,
    ) -> Result<Option<Wish>, crate::Violation> {
        self.record(now, ticket, answer);
        let Some((_, ask)) = self.waiting.take_if(|(waiting, _)| *waiting == ticket) else {
            return Ok(None);
        };
        let Some(operation) = &self.operation else {
            return Ok(None);
        };
        check(invariants, operation, &ask, answer)?;
        Ok(Some(self.go_on(now, invariants, answer)))
    }

    fn go_on(&mut self, now: u64, invariants: &Invariants, answer: &Answer) -> Wish {
        match answer {
            Answer::ReadAt { index } => {
                if let Some(operation) = &mut self.operation {
                    operation.point = Some((*index, operation.asked));
                }
                self.ask(now, invariants)
            }
            Answer::Applied { .. } if self.wants_it_again() => self.ask(now, invariants),
            Answer::Applied { .. } | Answer::Changed { .. } | Answer::Transferred { .. } => {
                self.finish(now, invariants)
            }
            Answer::NotApplied(NotApplied::NotLeader {
                leader: Some(leader),
            }) if leader.node != self.target => {
                self.target = leader.node;
                self.give_up_unless_keyed();
                self.ask(now, invariants)
            }
            Answer::NotApplied(_) | Answer::Unknown { .. } => {
                self.elsewhere();
                self.give_up_unless_keyed();
                Wish::Sleep(self.random.between(5, 80) * MS)
            }
        }
    }

    /// An answer to a query came.
    pub(crate) fn queried(
        &mut self,
        now: u64,
        invariants: &mut Invariants,
        ticket: Ticket,
        found: &Found,
    ) -> Result<Option<Wish>, crate::Violation> {
        let waited = self.waiting.take_if(|(waiting, _)| *waiting == ticket);
        let (Some(_), Some(operation)) = (waited, &mut self.operation) else {
            return Ok(None);
        };
        Ok(Some(match found {
            Found::Reply(index, reply) => {
                if let Kind::Read(_) = operation.kind {
                    invariants.read(operation.group, operation.floor, *index)?;
                }
                let heard = outcome::of_reply(&operation.action, reply);
                self.heard(now, *index, heard);
                self.finish(now, invariants)
            }
            Found::TooStale if !operation.confirm => {
                operation.confirm = true;
                self.ask(now, invariants)
            }
            Found::TooStale => {
                // Messages take longer than its state may be old.
                self.operation = None;
                Wish::Sleep(self.random.between(5, 80) * MS)
            }
            Found::Nothing => {
                self.elsewhere();
                Wish::Sleep(self.random.between(5, 80) * MS)
            }
        }))
    }

    /// It is done; the next one begins now or soon.
    fn finish(&mut self, now: u64, invariants: &Invariants) -> Wish {
        self.done += 1;
        self.operation = None;
        if self.random.chance(500) {
            return self.ask(now, invariants);
        }
        Wish::Sleep(self.random.below(20 * MS))
    }

    /// A command with a key may be sent once more after it was answered.
    fn wants_it_again(&mut self) -> bool {
        let again = self.random.chance(80);
        match &mut self.operation {
            Some(operation) if operation.kind == Kind::Keyed && !operation.again => {
                operation.again = again;
                again
            }
            _ => false,
        }
    }

    /// Whoever was asked is of no help.
    fn elsewhere(&mut self) {
        self.target = NodeId(self.random.between(1, self.nodes));
        let node = match self.random.chance(500) {
            true => self.target,
            false => NodeId(self.random.between(1, self.nodes)),
        };
        if let Some(operation) = &mut self.operation {
            // It was that node's question, at a time of its clock.
            if node != operation.node {
                operation.point = None;
            }
            operation.node = node;
        }
    }

    /// What has no key is not sent twice; neither is what was answered already.
    fn give_up_unless_keyed(&mut self) {
        self.operation
            .take_if(|it| it.kind == Kind::Bare || it.again);
    }
}

/// The idempotency key of a client's operation.
fn session_key(client: u64, number: u64) -> [u8; 16] {
    (u128::from(client) << 64 | u128::from(number)).to_le_bytes()
}

/// Whose idempotency key this is.
pub(crate) fn session_of(key: [u8; 16]) -> Session {
    let key = u128::from_le_bytes(key);
    Session {
        client: (key >> 64) as u64,
        sequence: key as u64,
    }
}

fn check(invariants: &mut Invariants, operation: &Operation, ask: &Ask, answer: &Answer) -> Check {
    let Operation { group, floor, .. } = *operation;
    match (answer, ask) {
        (Answer::Applied { index, outcome, .. }, Ask::Command(command)) => {
            invariants.acknowledged(group, command, floor, *index, outcome)
        }
        (Answer::ReadAt { index }, Ask::Read { .. }) => invariants.read(group, floor, *index),
        (Answer::NotApplied(why), Ask::Command(command))
            if operation.kind == Kind::Bare && outcome::has_no_entry(why) =>
        {
            invariants.refused(group, command)
        }
        _ => Ok(()),
    }
}

impl Client {
    /// Writes down what was said of a command, now or late.
    fn record(&mut self, now: u64, ticket: Ticket, answer: &Answer) {
        let Some(id) = self.late.get(&ticket).copied() else {
            return;
        };
        let Some(recorded) = self.recorder.operation(id) else {
            return;
        };
        let action = recorded.action.clone();
        match answer {
            Answer::Applied { index, outcome, .. } => {
                let waits = self.operation.as_ref().is_some_and(|it| it.id == Some(id));
                match outcome::of_outcome(&action, outcome) {
                    Some(heard) if waits => self.heard(now, *index, Some(heard)),
                    Some(heard) => self.recorder.answered(id, now, *index, heard),
                    None => {}
                }
            }
            Answer::NotApplied(why) if recorded.session.is_none() && outcome::has_no_entry(why) => {
                self.recorder.not_applied(id);
            }
            _ => {}
        }
    }

    /// Its present operation was answered.
    fn heard(&mut self, now: u64, index: Index, heard: Option<coracle_history::Outcome>) {
        let Some(operation) = &self.operation else {
            return;
        };
        let seen = self.seen.entry(operation.group).or_default();
        *seen = index.max(*seen);
        let (Some(id), Some(heard)) = (operation.id, heard) else {
            return;
        };
        let place = (operation.group, operation.key.clone());
        match outcome::value_after(&operation.action, &heard) {
            Some(value) => self.values.insert(place, value),
            None => self.values.remove(&place),
        };
        self.recorder.answered(id, now, index, heard);
    }

    /// Writes down what it asks for.
    fn invoke(&mut self, now: u64, group: GroupId, key: &str, action: Action, keyed: bool) -> u64 {
        let session = keyed.then_some(Session {
            client: self.id,
            sequence: self.number,
        });
        let group = group.0.to_string();
        self.recorder.invoke(now, group, key, action, session)
    }
}
