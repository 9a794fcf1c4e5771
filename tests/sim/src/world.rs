//! The event loop: one thread, one clock, one queue.

mod attacks;
mod disks;
mod heals;
mod imports;
mod liveness;
mod members;
mod nodes;
mod notable;
#[cfg(test)]
mod planted;
mod queries;
mod replace;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use coracle_driver::Event;
use coracle_driver::task::{Answer, NotApplied, Outcome, Ticket};
use coracle_history::History;
use coracle_proto::{Envelope, GroupId, NodeId, ReadMode};

use crate::attack::Attack;
use crate::client::{Ask, Client, Found, Wish};
use crate::invariants::{Check, Invariants, Violation, violated};
use crate::nemesis::Nemesis;
use crate::network::Network;
use crate::plan::Plan;
use crate::process::Process;
use crate::random::Random;
use crate::survive::set_harmed;
use crate::tape::Tape;
use crate::trace::Trace;
use crate::witness::Witness;
use imports::Imports;
use members::Administrator;
use nodes::Retain;
use replace::Replacement;
use transfer::Transfer;

/// Events of one run, beyond which it counts as not live.
const MAX_EVENTS: u64 = 5_000_000;

/// Actions that wait in the queue, beyond which a run would eat the machine's memory: more than a hundred
/// times what the busiest runs need. All else that a run keeps grows by events only.
const MAX_QUEUED: usize = 500_000;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Names the stream of events: equal for equal runs.
    pub digest: u64,
    /// How many events there were.
    pub events: u64,
    /// Simulated nanoseconds.
    pub time: u64,
    /// Entries committed, over all groups.
    pub committed: u64,
    /// Operations that clients completed.
    pub operations: u64,
    /// What happened how often: faults, elections, snapshots.
    pub counts: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Messages that arrived.
    pub delivered: u64,
    /// Commits of all logs.
    pub commits: u64,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Action {
    /// Messages arrive.
    Deliver {
        to: NodeId,
        /// How often the connection had been lost when it was sent.
        losses: u64,
        /// The receiver's life then.
        life: u64,
        envelope: Envelope,
    },
    /// A node takes its events and timers.
    Turn { node: NodeId, life: u64 },
    /// The disk of a node has done its writes.
    Written { node: NodeId, life: u64 },
    /// A worker applies.
    Work {
        node: NodeId,
        life: u64,
        group: GroupId,
    },
    /// Snapshot files may go: the oldest of what was asked for.
    Retain { node: NodeId },
    /// A client's request arrives.
    Request {
        to: NodeId,
        group: GroupId,
        ticket: Ticket,
        ask: Ask,
    },
    /// A client gets an answer.
    Answer { ticket: Ticket, answer: Answer },
    /// A client gets an answer to a query.
    Found { ticket: Ticket, found: Found },
    /// A client wakes up: to begin, or because this had no answer.
    Wake {
        client: usize,
        unanswered: Option<Ticket>,
    },
    /// A snapshot transfer goes one step on.
    Transfer { id: u64 },
    /// The nemesis strikes.
    Strike,
    /// A hunted leader is killed.
    Kill { node: NodeId, life: u64 },
    /// Cuts are mended.
    Mend,
    /// The next of several cuts.
    Flap {
        side: BTreeSet<u64>,
        period: u64,
        times: u64,
    },
    /// A full disk has room again.
    MakeRoom { node: NodeId },
    /// The power goes at a disk that lied.
    LieEnds { node: NodeId },
    /// The next step in replacing a node.
    Replace { number: usize },
    /// A worker that stands still is helped.
    Heal {
        node: NodeId,
        life: u64,
        group: GroupId,
    },
    /// An event for a node, if it runs.
    Tell { node: NodeId, event: Event },
    /// A process comes back.
    Start { node: NodeId },
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Action>,
    random: Random,
    network: Network,
    nemesis: Nemesis,
    processes: BTreeMap<NodeId, Process>,
    clients: Vec<Client>,
    transfers: BTreeMap<u64, Transfer>,
    invariants: Invariants,
    trace: Trace,
    /// Told what the nodes do, if somebody wants to know.
    witness: Option<Witness>,
    counts: BTreeMap<&'static str, u64>,
    /// Faults by kind.
    faults: BTreeMap<&'static str, u64>,
    /// Faults to come, if they are not drawn.
    script: Option<VecDeque<(u64, Attack)>>,
    /// Faults that were drawn.
    taped: Vec<(u64, Attack)>,
    /// Requests of clients while there were faults.
    requests: u64,
    /// Those that arrive, if not all do.
    heard: Option<BTreeSet<u64>>,
    /// Messages that arrived.
    delivered: u64,
    /// Commits of all logs.
    commits: u64,
    replacements: Vec<Replacement>,
    /// Snapshot files that are still needed, as each node said it, oldest first.
    retains: BTreeMap<NodeId, VecDeque<Retain>>,
    /// What the administrator waits for.
    administrator: Administrator,
    imports: Imports,
    /// Until then new leaders are killed.
    hunt_until: u64,
    /// Faults are over.
    healed: bool,
    /// Clients ask for nothing more.
    resting: bool,
}

/// Runs a plan to its end, or to its first violation.
pub fn run(plan: Plan, print: bool) -> Result<Summary, Violation> {
    record(plan, print).0
}

/// Runs a plan, and writes down what was chosen.
pub fn record(plan: Plan, print: bool) -> (Result<Summary, Violation>, Tape) {
    let mut world = World::new(plan, print);
    let outcome = world.play();
    let violates = outcome.as_ref().err();
    let tape = Tape {
        violates: violates.map(|violation| violation.invariant.to_owned()),
        requests: None,
        attacks: std::mem::take(&mut world.taped),
        reaches: BTreeSet::new(),
        plan: world.plan,
    };
    (outcome, tape)
}

/// Runs a plan, and gives what its clients asked and were told as well.
pub fn recorded(plan: Plan) -> (Result<Summary, Violation>, History) {
    let mut world = World::new(plan, false);
    let outcome = world.play();
    (outcome, world.history())
}

/// Runs a plan, and tells what the nodes do: one line of JSON per event of
/// [`Tracer`](coracle_driver::Tracer), in the order in which they happened.
pub fn witness(plan: Plan) -> (Result<Summary, Violation>, String) {
    let mut world = World::new(plan, false);
    world.witness = Some(Witness::default());
    let outcome = world.play();
    let lines = world.witness.map(|witness| witness.lines);
    (outcome, lines.unwrap_or_default())
}

/// Runs what was written down.
pub fn replay(tape: &Tape, print: bool) -> Result<Summary, Violation> {
    let summary = World::scripted(tape, print).play()?;
    tape.reached(&summary)?;
    Ok(summary)
}

/// How many requests the clients make on a tape before the faults are over.
pub fn count_requests(tape: &Tape) -> u64 {
    let mut world = World::scripted(tape, false);
    // However it ends.
    let _ = world.play();
    world.requests
}

impl World {
    fn new(plan: Plan, print: bool) -> Self {
        set_harmed(false);
        let mut random = Random::new(plan.seed);
        let network = Network::new(&plan, random.fork());
        let nemesis = Nemesis::new(&plan, random.fork());
        let ids = (1..=plan.all_nodes()).map(NodeId);
        let processes = ids.map(|id| (id, Process::new(id, &plan, random.fork())));
        let processes = processes.collect();
        let clients = (1..=plan.clients).map(|id| Client::new(id, &plan, random.fork()));
        let clients = clients.collect();
        Self {
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            network,
            nemesis,
            processes,
            clients,
            transfers: BTreeMap::new(),
            invariants: Invariants::new(plan.nodes, plan.spares, plan.groups, &plan.settings),
            trace: Trace::new(print),
            witness: None,
            counts: BTreeMap::new(),
            faults: BTreeMap::new(),
            script: None,
            taped: Vec::new(),
            requests: 0,
            heard: None,
            delivered: 0,
            commits: 0,
            replacements: Vec::new(),
            retains: BTreeMap::new(),
            administrator: Administrator::default(),
            imports: Imports::default(),
            hunt_until: 0,
            healed: false,
            resting: false,
            random,
            plan,
        }
    }

    fn scripted(tape: &Tape, print: bool) -> Self {
        Self {
            script: Some(tape.attacks.iter().cloned().collect()),
            heard: tape.requests.clone(),
            ..Self::new(tape.plan.clone(), print)
        }
    }

    /// Runs to the end or the first violation. A panic is a violation too.
    fn play(&mut self) -> Result<Summary, Violation> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run()));
        let outcome = outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            violated("no panic", text.unwrap_or_default())
        });
        if let Err(violation) = &outcome {
            let now = self.now;
            self.trace.remark(now, || format!("VIOLATION {violation}"));
        }
        outcome.map(|()| self.summary())
    }

    fn run(&mut self) -> Check {
        for node in self.node_ids() {
            self.start(node)?;
        }
        for client in 0..self.clients.len() {
            let unanswered = None;
            self.after(0, Action::Wake { client, unanswered });
        }
        self.strike_later();
        self.run_until(self.plan.safety)?;
        self.heal()?;
        self.converge()?;
        self.check_history()
    }

    fn run_until(&mut self, end: u64) -> Check {
        while let Some((&(at, _), _)) = self.queue.first_key_value()
            && at <= end
        {
            self.next()?;
        }
        self.now = end;
        Ok(())
    }

    fn next(&mut self) -> Check {
        let Some(((at, _), action)) = self.queue.pop_first() else {
            return violated("liveness", "nothing happens any more");
        };
        self.now = at;
        if self.trace.events() > MAX_EVENTS {
            return violated("liveness", "too many events");
        }
        if self.queue.len() > MAX_QUEUED {
            return violated(
                "bounded memory",
                format!("{} actions wait", self.queue.len()),
            );
        }
        self.perform(action)
    }

    fn perform(&mut self, action: Action) -> Check {
        match action {
            Action::Deliver {
                to,
                losses,
                life,
                envelope,
            } => self.deliver(to, losses, life, envelope),
            Action::Turn { node, life } => self.turn(node, life)?,
            Action::Written { node, life } => self.written(node, life)?,
            Action::Work { node, life, group } => self.work(node, life, group)?,
            Action::Retain { node } => self.retain_next(node)?,
            Action::Request {
                to,
                group,
                ticket,
                ask,
            } => self.request(to, group, ticket, ask)?,
            Action::Answer { ticket, answer } => self.answer(ticket, &answer)?,
            Action::Found { ticket, found } => self.hears(ticket, &found)?,
            Action::Wake { client, unanswered } => {
                let wish = self.clients[client].wake(self.now, &self.invariants, unanswered);
                self.grant(client, wish);
            }
            Action::Transfer { id } => self.transfer(id)?,
            Action::Strike => self.strike()?,
            Action::Kill { node, life } => self.kill(node, life),
            Action::Mend => self.mend(),
            Action::Flap {
                side,
                period,
                times,
            } => self.flap(side, period, times),
            Action::MakeRoom { node } => self.make_room(node),
            Action::LieEnds { node } => self.lie_ends(node),
            Action::Replace { number } => self.go_on_replacing(number),
            Action::Heal { node, life, group } => self.heal_worker(node, life, group),
            Action::Tell { node, event } => self.tell(node, event),
            Action::Start { node } => self.start(node)?,
        }
        Ok(())
    }

    /// Something happens after so long.
    fn after(&mut self, time: u64, action: Action) {
        self.at(self.now + time, action);
    }

    fn at(&mut self, time: u64, action: Action) {
        self.sequence += 1;
        self.queue.insert((time, self.sequence), action);
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn node_ids(&self) -> Vec<NodeId> {
        self.processes.keys().copied().collect()
    }

    fn group_ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        (1..=self.plan.groups).map(GroupId)
    }

    fn request(&mut self, to: NodeId, group: GroupId, ticket: Ticket, ask: Ask) -> Check {
        if let Ask::Read { mode, .. } = ask
            && mode == ReadMode::Lease
        {
            self.count("lease reads");
        }
        let event = match ask {
            Ask::Query(query) => return self.query(to, group, ticket, query),
            Ask::Read { mode, .. } => Event::Read {
                group,
                mode,
                ticket,
            },
            Ask::Command(command) => Event::Propose {
                group,
                command,
                ticket,
            },
        };
        self.tell(to, event);
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: &Answer) -> Check {
        if self.is_administrator(ticket) {
            return self.administered(ticket, answer);
        }
        let Some(client) = self.clients.iter().position(|client| client.owns(ticket)) else {
            return Ok(());
        };
        match answer {
            Answer::Applied { replayed: true, .. } => {
                self.count("command replayed from the sessions");
            }
            Answer::Applied {
                outcome: Outcome::Failed(_),
                ..
            } => self.count("trap of a command"),
            Answer::Unknown { .. } => self.count("outcome unknown to a client"),
            Answer::NotApplied(NotApplied::Overwritten) => {
                self.count("entry overwritten by another leader");
            }
            _ => {}
        }
        let text = || format!("client {} gets {answer:?}", client + 1);
        self.trace.note(self.now, (1, ticket), text);
        let now = self.now;
        let wish = self.clients[client].answered(now, &mut self.invariants, ticket, answer)?;
        self.grant(client, wish);
        Ok(())
    }

    fn grant(&mut self, client: usize, wish: Option<Wish>) {
        match wish {
            None => {}
            Some(_) if self.resting => {}
            Some(Wish::Sleep(time)) => {
                let unanswered = None;
                self.after(time, Action::Wake { client, unanswered });
            }
            Some(Wish::Send {
                to,
                group,
                ticket,
                ask,
                timeout,
            }) => {
                let text = || format!("client {} asks {to} {group} {ask:?}", client + 1);
                self.trace.note(self.now, (2, to, ticket), text);
                if let Ask::Read { at, .. } = ask
                    && let Some(process) = self.processes.get(&at)
                {
                    self.clients[client].asked_at(process.clock.at(self.now));
                }
                let unanswered = Some(ticket);
                self.after(timeout, Action::Wake { client, unanswered });
                if !self.is_heard() {
                    return;
                }
                let latency = self.network.latency();
                let request = Action::Request {
                    to,
                    group,
                    ticket,
                    ask,
                };
                self.after(latency, request);
            }
        }
    }

    /// Whether the next request of a client arrives.
    fn is_heard(&mut self) -> bool {
        if self.healed {
            return true;
        }
        self.requests += 1;
        let heard = self.heard.as_ref();
        heard.is_none_or(|heard| heard.contains(&self.requests))
    }

    /// What happened, and what the network did to single messages.
    fn counts_with_messages(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.counts.clone();
        let harmed = self.network.harmed;
        for (what, count) in [
            ("messages lost", harmed.lost),
            ("messages doubled", harmed.doubled),
            ("messages late", harmed.late),
        ] {
            if count > 0 {
                counts.insert(what, count);
            }
        }
        counts
    }

    fn summary(&self) -> Summary {
        let committed = self
            .group_ids()
            .map(|id| self.invariants.committed_entries(id));
        Summary {
            digest: self.trace.digest(),
            events: self.trace.events(),
            time: self.now,
            committed: committed.sum(),
            operations: self.clients.iter().map(|client| client.done).sum(),
            counts: self.counts_with_messages(),
            faults: self.faults.clone(),
            delivered: self.delivered,
            commits: self.commits,
        }
    }
}
