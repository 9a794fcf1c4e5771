//! Random transfers, lease reads under drifting clocks, and silence: no read is stale, every request
//! ends, and a cluster that fell silent serves at once.

use std::time::Duration;

use coracle_proto::{Config, Effect, Input, NodeId, ReadMode, Role};

use crate::cluster::{Cluster, T, config};
use crate::random::Random;

/// By how many thousandths a clock is fast or slow at most: a lease of 900 ms by the slowest is over
/// before 1000 ms by the fastest are.
const MAX_FAST: u64 = 45;

/// What a run has to have met, lest it shows nothing.
#[derive(Debug, Default)]
struct Met {
    by_lease: u64,
    transferred: u64,
    elections: usize,
}

struct Run {
    cluster: Cluster,
    random: Random,
    reads: u64,
    transfers: u64,
    met: Met,
}

fn leasing(node: u64) -> Config {
    Config {
        max_append_entries: 3,
        max_inflight_appends: 2,
        max_pending_reads: 4,
        quiesce_after: 2,
        priority: u8::try_from(2 + node).expect("small"),
        ..config(node)
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let size = 3 + 2 * random.below(2);
        let mut cluster = Cluster::new(size, leasing);
        for node in 1..=size {
            let fast = random.below(2 * MAX_FAST + 1) as i64 - MAX_FAST as i64;
            cluster.fast.insert(node, fast);
        }
        Self {
            cluster,
            random,
            reads: 0,
            transfers: 0,
            met: Met::default(),
        }
    }

    fn some_node(&mut self) -> u64 {
        1 + self.random.below(self.cluster.nodes.len() as u64)
    }

    /// Mostly one of those who believe that they lead.
    fn some_leader(&mut self) -> u64 {
        let nodes = self.cluster.nodes.iter();
        let leads = nodes.filter(|(_, node)| node.raft.role() == Role::Leader);
        let leaders: Vec<_> = leads.map(|(id, _)| *id).collect();
        let at = leaders.get(self.random.below(3) as usize).copied();
        at.unwrap_or_else(|| self.some_node())
    }

    fn step(&mut self) {
        let node = self.some_node();
        match self.random.below(100) {
            0..45 => self.deliver(),
            45..68 => {
                self.cluster.persist_one(node);
            }
            68..74 => {
                let at = self.some_leader();
                self.cluster.propose(at, "x");
            }
            74..84 => self.read(),
            84..96 => self.pass_time(),
            _ => self.disturb(node),
        }
    }

    fn deliver(&mut self) {
        let near = self.cluster.network.len().min(6) as u64;
        if near > 0 {
            let at = self.random.below(near) as usize;
            let envelope = self.cluster.network.remove(at).expect("in range");
            self.cluster.deliver(envelope);
        }
    }

    fn read(&mut self) {
        self.reads += 1;
        let mode = match self.random.below(4) {
            0 => ReadMode::Index,
            _ => ReadMode::Lease,
        };
        let at = match self.random.below(4) {
            0 => self.some_node(),
            _ => self.some_leader(),
        };
        self.cluster.read_by(at, self.reads, mode);
        let id = coracle_proto::ReadId(self.reads);
        let events = &self.cluster.nodes[&at].events;
        let granted = |e: &&Effect| matches!(e, Effect::ReadReady { id: read, .. } if *read == id);
        if events.last().iter().any(granted) {
            self.met.by_lease += 1;
        }
    }

    /// Whoever is due is mostly told, but late.
    fn pass_time(&mut self) {
        self.cluster.now = self.cluster.now + Duration::from_millis(1 + self.random.below(60));
        let nodes: Vec<_> = self.cluster.nodes.keys().copied().collect();
        for node in nodes {
            let due = self.cluster.nodes[&node].raft.deadline();
            let (clock, told) = (self.cluster.clock(node), self.random.below(4) > 0);
            if let Some((_, kind)) = due.filter(|(at, _)| *at <= clock && told) {
                let jitter = self.random.next();
                self.cluster.step(node, Input::Timeout { kind, jitter });
            }
        }
    }

    fn disturb(&mut self, node: u64) {
        let (leader, jitter) = (self.some_leader(), self.random.next());
        match self.random.below(20) {
            0..4 => {
                self.cluster.heal();
                self.cluster.isolate(leader);
            }
            4..8 => self.cluster.heal(),
            8 => self.cluster.restart(node),
            9..13 => {
                self.transfers += 1;
                let to = (self.random.below(2) == 0).then_some(node);
                self.cluster.transfer_as(self.transfers, leader, to);
            }
            13..15 => self.cluster.step(node, Input::ForgetLeader),
            15..17 => self.cluster.step(node, Input::Campaign { jitter }),
            17 => {
                let priority = u8::try_from(self.random.below(8)).expect("small");
                self.cluster.step(node, Input::SetPriority(priority));
            }
            18 => self.cluster.step(leader, Input::PeerDown(NodeId(node))),
            _ => self.cluster.step(leader, Input::PeerUp(NodeId(node))),
        }
    }

    /// The faults end: the group settles, falls silent, and serves when it is asked.
    fn recover(&mut self, seed: u64) {
        self.cluster.heal();
        let nodes: Vec<_> = self.cluster.nodes.keys().copied().collect();
        for (node, other) in nodes
            .iter()
            .flat_map(|a| nodes.iter().map(move |b| (*a, *b)))
        {
            self.cluster.step(node, Input::PeerUp(NodeId(other)));
        }
        self.cluster.run(T * 40);
        for (node, state) in &self.cluster.nodes {
            let status = state.raft.status();
            assert!(status.quiet, "seed {seed}: n{node} is awake: {status:?}");
            assert_eq!(state.raft.deadline(), None, "seed {seed}: n{node}");
        }
        let leader = self.cluster.leader().expect("somebody leads");
        let term = self.cluster.nodes[&leader].raft.status().hard_state.term;
        for node in nodes {
            self.reads += 1;
            self.cluster.read_by(node, self.reads, ReadMode::Lease);
        }
        self.cluster.propose(leader, "last");
        self.cluster.run(T * 3);
        let after = self.cluster.nodes[&leader].raft.status();
        assert_eq!(
            after.hard_state.term, term,
            "seed {seed}: nobody is deposed"
        );
        assert!(after.quiet, "seed {seed}: silent again");
        assert_eq!(after.commit, after.last.index, "seed {seed}: it commits");
        let open = (
            self.cluster.open_reads.len(),
            self.cluster.open_transfers.len(),
            self.cluster.open_proposals.len(),
        );
        assert_eq!(open, (0, 0, 0), "seed {seed}: reads, transfers, proposals");
    }

    fn count(&mut self) {
        let events = self.cluster.nodes.values().flat_map(|node| &node.events);
        let done = |e: &&Effect| {
            e.to_string().starts_with("transfer-ended") && e.to_string().ends_with("leads")
        };
        self.met.transferred = events.filter(done).count() as u64;
        self.met.elections = self.cluster.leaders.len();
    }
}

#[test]
fn no_read_is_stale_and_a_healed_cluster_falls_silent_and_serves() {
    let mut met = Met::default();
    for seed in 0..120 {
        let mut run = Run::new(seed);
        for _ in 0..4000 {
            run.step();
        }
        run.recover(seed);
        run.count();
        met.by_lease += run.met.by_lease;
        met.transferred += run.met.transferred;
        met.elections += run.met.elections;
    }
    let enough = met.by_lease > 1000 && met.transferred > 100 && met.elections > 400;
    assert!(enough, "the faults are too tame: {met:?}");
}

/// The slowest clock at the leader, the fastest at those who elect the next one: it reads by its
/// lease as long as it can.
#[test]
fn a_deposed_leader_that_is_slow_and_reads_by_its_lease_is_not_stale() {
    let mut granted = 0;
    for seed in 0..60 {
        let mut cluster = Cluster::new(3, leasing);
        let fast = MAX_FAST as i64;
        cluster.fast = [(1, -fast), (2, fast), (3, fast)].into();
        cluster.elect(1);
        for _ in 0..seed {
            cluster.next_jitter();
        }
        cluster.run(T);
        cluster.read_by(1, 1, ReadMode::Lease);
        cluster.settle();
        cluster.isolate(1);
        for read in 2..400 {
            cluster.now = cluster.now + T / 200;
            for node in [2, 3] {
                let due = cluster.nodes[&node].raft.deadline();
                let clock = cluster.clock(node);
                if let Some((_, kind)) = due.filter(|(at, _)| *at <= clock) {
                    let jitter = cluster.next_jitter() % 1000;
                    cluster.step(node, Input::Timeout { kind, jitter });
                }
                cluster.settle();
            }
            if let Some(next) = cluster.leader().filter(|leader| *leader != 1) {
                cluster.propose(next, "news");
                cluster.settle();
            }
            // A read that sees less than what is committed fails the cluster's own check.
            cluster.read_by(1, read, ReadMode::Lease);
            let events = &cluster.nodes[&1].events;
            let ready = events
                .last()
                .is_some_and(|e| matches!(e, Effect::ReadReady { .. }));
            granted += u32::from(ready);
        }
        assert_ne!(
            cluster.leader(),
            Some(1),
            "seed {seed}: nobody else was elected"
        );
    }
    assert!(granted > 1000, "only {granted} reads by lease");
}
