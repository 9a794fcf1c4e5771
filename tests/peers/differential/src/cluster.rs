//! Replicas and the network between them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Members, Replica, Sends};

/// Rounds after which a network that has not come to rest never will.
const MAX_ROUNDS: usize = 500;

/// What the outside can see of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether it leads.
    pub leads: bool,
    /// Its term.
    pub term: u64,
    /// Its members.
    pub members: Members,
    /// What it has committed.
    pub committed: Vec<u64>,
}

struct Letter<M> {
    from: u64,
    to: u64,
    message: M,
}

/// Replicas in one process.
pub struct Cluster<R: Replica> {
    replicas: BTreeMap<u64, R>,
    /// Those that are down.
    down: BTreeSet<u64>,
    /// Pairs that cannot speak, either way.
    cut: BTreeSet<(u64, u64)>,
    under_way: Vec<Letter<R::Message>>,
}

impl<R: Replica> Cluster<R> {
    /// Nodes 1 to `nodes`, the first `voters` of which are the group at its start.
    pub fn new(nodes: u64, voters: u64) -> Self {
        let first: Vec<u64> = (1..=voters).collect();
        Self {
            replicas: (1..=nodes).map(|id| (id, R::start(id, &first))).collect(),
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            under_way: Vec::new(),
        }
    }

    /// Lets `node` do something, if it is up.
    pub fn on(&mut self, node: u64, act: impl FnOnce(&mut R, &mut Sends<R::Message>)) {
        if self.down.contains(&node) {
            return;
        }
        let Some(replica) = self.replicas.get_mut(&node) else {
            return;
        };
        let mut sends = Sends::new();
        act(replica, &mut sends);
        let letters = sends.into_iter().map(|(to, message)| Letter {
            from: node,
            to,
            message,
        });
        self.under_way.extend(letters);
    }

    /// Those that lead, the one of the highest term last.
    pub fn leaders(&self) -> Vec<u64> {
        let up = self
            .replicas
            .iter()
            .filter(|(id, _)| !self.down.contains(id));
        let mut leaders: Vec<_> = up
            .filter(|(_, replica)| replica.leads())
            .map(|(id, replica)| (replica.term(), *id))
            .collect();
        leaders.sort_unstable();
        leaders.into_iter().map(|(_, id)| id).collect()
    }

    /// Everything that is under way arrives, or is lost where the link is cut.
    pub fn round(&mut self) {
        let mut letters = std::mem::take(&mut self.under_way);
        letters.sort_by_key(|letter| (letter.from, letter.to));
        for letter in letters {
            if self.passes(letter.from, letter.to) {
                self.on(letter.to, |replica, sends| {
                    replica.receive(letter.from, letter.message, sends);
                });
            }
        }
    }

    /// Rounds until nothing is under way. Leaders send heartbeats in between, so that what was
    /// lost is found out; that has to come to rest as well.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.run();
            for leader in self.leaders() {
                self.on(leader, |replica, sends| replica.heartbeat(sends));
            }
        }
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..MAX_ROUNDS {
            if self.under_way.is_empty() {
                return;
            }
            self.round();
        }
        panic!("the network does not come to rest within {MAX_ROUNDS} rounds");
    }

    /// Everything under way is lost.
    pub fn lose(&mut self) {
        self.under_way.clear();
    }

    /// Only nodes on the same side can speak from now on.
    pub fn partition(&mut self, side: &BTreeSet<u64>) {
        let ids: Vec<u64> = self.replicas.keys().copied().collect();
        self.cut = ids
            .iter()
            .flat_map(|a| ids.iter().map(move |b| (*a, *b)))
            .filter(|(a, b)| side.contains(a) != side.contains(b))
            .collect();
    }

    /// Everybody can speak to everybody.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// The process of `node` ends.
    pub fn crash(&mut self, node: u64) {
        self.down.insert(node);
    }

    /// It is started again.
    pub fn restart(&mut self, node: u64) {
        if self.down.remove(&node)
            && let Some(replica) = self.replicas.get_mut(&node)
        {
            replica.restart();
        }
    }

    /// Everybody, as seen from outside.
    pub fn view(&self) -> BTreeMap<u64, View> {
        let view = |(id, replica): (&u64, &R)| {
            let view = View {
                leads: replica.leads() && !self.down.contains(id),
                term: replica.term(),
                members: replica.members(),
                committed: replica.committed(),
            };
            (*id, view)
        };
        self.replicas.iter().map(view).collect()
    }

    /// Whether a message would arrive.
    pub fn passes(&self, from: u64, to: u64) -> bool {
        let up = self.replicas.contains_key(&to) && !self.down.contains(&to);
        up && !self.cut.contains(&(from, to))
    }
}
