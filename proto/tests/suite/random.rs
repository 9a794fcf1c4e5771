//! Random faults against small clusters: safety throughout, liveness after the faults end.

use std::time::Duration;

use coracle_proto::{Config, Input, LogId, NodeId, Role, TimeoutKind};

use crate::cluster::{Cluster, T, config};

/// A generator of its own, so that a seed means the same run for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Small windows and a small cache, so that every limit is met.
pub(crate) fn tight(node: u64) -> Config {
    Config {
        max_append_entries: 3,
        max_append_bytes: 64,
        max_inflight_appends: 2,
        cache_bytes: 40,
        max_uncommitted_bytes: 200,
        max_pending_reads: 4,
        ..config(node)
    }
}

pub(crate) fn eager(node: u64) -> Config {
    Config {
        pre_vote: false,
        check_quorum: node.is_multiple_of(2),
        ..tight(node)
    }
}

pub(crate) fn any_node(cluster: &Cluster, random: &mut Random) -> u64 {
    let at = random.below(cluster.nodes.len() as u64);
    let mut nodes = cluster.nodes.keys();
    *nodes.nth(at as usize).expect("in range")
}

pub(crate) fn chaos(cluster: &mut Cluster, random: &mut Random, steps: u32, reads: &mut u64) {
    for step in 0..steps {
        let node = any_node(cluster, random);
        let peer = any_node(cluster, random);
        match random.below(1000) {
            0..480 => deliver_any(cluster, random),
            480..740 => {
                cluster.persist_one(node);
            }
            740..820 => {
                cluster.propose(node, &format!("{step}"));
            }
            820..880 => {
                *reads += 1;
                read_somewhere(cluster, random, node, *reads);
            }
            880..960 => pass_time(cluster, random, node),
            960..993 => disturb(cluster, random, node, peer),
            _ => {}
        }
    }
}

/// Out of order, sometimes twice, sometimes not at all.
fn deliver_any(cluster: &mut Cluster, random: &mut Random) {
    let near = cluster.network.len().min(12) as u64;
    if near == 0 {
        return;
    }
    let at = random.below(near) as usize;
    let envelope = cluster.network.remove(at).expect("in range");
    if random.below(20) == 0 {
        cluster.network.push_back(envelope.clone());
    }
    if random.below(20) != 0 {
        cluster.deliver(envelope);
    }
}

/// Mostly at those who believe that they lead: there stale reads would be.
fn read_somewhere(cluster: &mut Cluster, random: &mut Random, node: u64, id: u64) {
    let leads = |id: &u64| cluster.nodes[id].raft.role() == Role::Leader;
    let leaders: Vec<_> = cluster.nodes.keys().copied().filter(leads).collect();
    let at = leaders.get(random.below(3) as usize).copied();
    cluster.read_at(at.unwrap_or(node), id);
}

fn pass_time(cluster: &mut Cluster, random: &mut Random, node: u64) {
    cluster.now = cluster.now + Duration::from_millis(1 + random.below(300));
    if let Some((at, kind)) = cluster.nodes[&node].raft.deadline()
        && at <= cluster.now
    {
        let jitter = random.next();
        cluster.step(node, Input::Timeout { kind, jitter });
    }
}

fn disturb(cluster: &mut Cluster, random: &mut Random, node: u64, peer: u64) {
    let jitter = random.next();
    let kind = TimeoutKind::Election;
    match random.below(33) {
        0..5 => cluster.step(node, Input::Timeout { kind, jitter }),
        5..9 => cluster.restart(node),
        9..12 => {
            cluster.heal();
            cluster.isolate(node);
        }
        12..16 => {
            cluster.cut.insert((node, peer));
        }
        16..19 => cluster.heal(),
        19..25 => compact_somewhere(cluster, random, node),
        25..30 => cluster.step(node, Input::PeerDown(NodeId(peer))),
        _ => cluster.step(node, Input::Campaign { jitter }),
    }
}

fn compact_somewhere(cluster: &mut Cluster, random: &mut Random, node: u64) {
    let state = &cluster.nodes[&node];
    let applied = state.applied.len() as u64;
    let floor = state.disk.floor.index;
    if applied > floor && state.disk.last() >= applied {
        cluster.compact(node, floor + 1 + random.below(applied - floor));
    }
}

/// Log matching, over what is durable. The other properties are checked at every step.
pub(crate) fn check_logs(cluster: &Cluster, seed: u64) {
    for (a, left) in &cluster.nodes {
        for (b, right) in &cluster.nodes {
            let last = left.disk.last().min(right.disk.last());
            let first = left.disk.floor.index.max(right.disk.floor.index).max(1);
            let agree = (first..=last)
                .rev()
                .find(|i| left.disk.id_at(*i) == right.disk.id_at(*i));
            let stripped = [left, right]
                .iter()
                .any(|n| cluster.witnesses.contains(&n.id));
            for index in first..=agree.unwrap_or(0) {
                let (Some(ours), Some(theirs)) = (left.disk.entry(index), right.disk.entry(index))
                else {
                    continue;
                };
                let payloads = stripped || ours.payload == theirs.payload;
                assert!(
                    ours.id() == theirs.id() && payloads,
                    "seed {seed}: n{a} and n{b} disagree at {index} below a common entry"
                );
            }
        }
    }
}

fn run(seed: u64, configure: fn(u64) -> Config) -> Vec<LogId> {
    let mut random = Random(seed);
    let size = 3 + 2 * random.below(2);
    let mut cluster = Cluster::new(size, configure);
    let mut reads = 0;
    for _ in 0..6 {
        chaos(&mut cluster, &mut random, 800, &mut reads);
        check_logs(&cluster, seed);
    }
    // The faults end: a leader within a few timeouts, and everybody catches up.
    cluster.heal();
    cluster.run(T * 12);
    let leader = cluster
        .leader()
        .unwrap_or_else(|| panic!("seed {seed}: no leader after the faults"));
    cluster.propose(leader, "last");
    cluster.run(T);
    check_logs(&cluster, seed);
    assert!(
        cluster.open_reads.is_empty(),
        "seed {seed}: reads left open"
    );
    assert!(
        cluster.open_proposals.is_empty(),
        "seed {seed}: proposals left open"
    );
    let expected: Vec<_> = cluster.committed.values().copied().collect();
    let last = cluster.nodes[&leader].raft.status().last;
    assert_eq!(expected.last(), Some(&last), "seed {seed}: it commits");
    for (node, state) in &cluster.nodes {
        assert_eq!(state.applied, expected, "seed {seed}: n{node} catches up");
    }
    expected
}

#[test]
fn random_faults_break_nothing_and_the_cluster_recovers() {
    for seed in 0..80 {
        run(seed, tight);
    }
}

#[test]
fn random_faults_without_pre_vote_break_nothing() {
    for seed in 1000..1080 {
        run(seed, eager);
    }
}

#[test]
fn a_seed_means_the_same_run_twice() {
    assert_eq!(run(42, tight), run(42, tight));
}
