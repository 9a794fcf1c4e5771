//! Consensus.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coracle_driver::GroupStatus;
use coracle_proto::Role;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::catalogue::{Catalogue, Fraction, Histograms, set};
use super::labels::{Dir, Direction, Ended, Fsm, FsmPeer, FsmRole, Result, Thread};
use super::{GroupScene, Scene};

/// A thread's load is taken over at least this time.
const LOAD_WINDOW: Duration = Duration::from_secs(1);

/// Threads whose load is shown.
const THREADS: [&str; 2] = ["consensus", "log"];

/// Consensus.
#[derive(Debug)]
pub(crate) struct Raft {
    has_leader: Family<Fsm, Gauge>,
    is_leader: Family<Fsm, Gauge>,
    role: Family<FsmRole, Gauge>,
    term: Family<Fsm, Gauge>,
    commit: Family<Fsm, Gauge>,
    applied: Family<Fsm, Gauge>,
    last: Family<Fsm, Gauge>,
    pending: Family<Fsm, Gauge>,
    matched: Family<FsmPeer, Gauge>,
    lag: Family<FsmPeer, Gauge>,
    inflight: Family<FsmPeer, Gauge>,
    uncommitted: Family<Fsm, Gauge>,
    tolerance: Family<Fsm, Gauge>,
    groups: Gauge,
    quiet: Gauge,
    omitted: Gauge,
    load: Family<Thread, Fraction>,
    busy: [Busy; 2],
    measured: Mutex<(Instant, [u64; 2])>,
    proposals: Family<Result, Counter>,
    snapshot_times: Histograms<Dir>,
    snapshot_bytes: Family<Dir, Counter>,
    snapshots: Family<Dir, Gauge>,
    /// Changes of a group's known leader.
    pub(crate) leader_changes: Counter,
    /// Elections won by this node.
    pub(crate) elections_won: Counter,
    /// Committed changes of a group's configuration.
    pub(crate) config_changes: Counter,
    /// From the proposal to its answer.
    pub(crate) commit_latency: Histogram,
    /// From a read to its confirmed point, applied.
    pub(crate) read_index: Histogram,
}

/// Nanoseconds for which a thread was busy.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicU64);

impl Busy {
    /// The thread worked since `began`.
    pub(crate) fn since(&self, began: Instant) {
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Raft {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        let raft = Self {
            has_leader: c.gauges("raft_has_leader", "1 if a leader of the group is known"),
            is_leader: c.gauges("raft_is_leader", "1 if this node leads the group"),
            role: c.gauges("raft_role", "1 for the role this node has in the group"),
            term: c.gauges("raft_term", "The group's term"),
            commit: c.gauges("raft_commit_index", "Last committed index"),
            applied: c.gauges("raft_applied_index", "Last index applied here"),
            last: c.gauges("raft_last_log_index", "Last index in the log here"),
            pending: c.gauges(
                "raft_proposals_pending",
                "Commands that wait to be proposed",
            ),
            matched: c.gauges("raft_peer_match_index", "What a peer is known to hold"),
            lag: c.gauges(
                "raft_peer_lag_entries",
                "Entries a peer is behind its leader",
            ),
            inflight: c.gauges("raft_peer_inflight", "Unanswered messages with entries"),
            uncommitted: c.gauges(
                "raft_uncommitted_bytes",
                "Bytes of a leader's log that are not committed",
            ),
            tolerance: c.gauges(
                "raft_quorum_tolerance",
                "Voters that may still fail before the group stands still",
            ),
            groups: c.gauge("raft_groups", "Groups hosted here"),
            quiet: c.gauge("raft_groups_quiet", "Groups that have fallen silent"),
            omitted: c.gauge(
                "metrics_fsms_omitted",
                "Groups without series of their own: more than metrics.max_fsms",
            ),
            load: c.fractions(
                "raft_thread_saturation_ratio",
                "Share of the time since the last scrape for which a thread was busy",
            ),
            busy: <[Busy; 2]>::default(),
            measured: Mutex::new((Instant::now(), [0; 2])),
            proposals: c.counters(
                "raft_proposals",
                "Proposals made on this node, by their end",
            ),
            snapshot_times: c.timed("raft_snapshot_seconds", "Time to move one snapshot"),
            snapshot_bytes: c.counters("raft_snapshot_bytes", "Bytes of snapshots moved"),
            snapshots: c.gauges("raft_snapshot_inflight", "Snapshots on their way"),
            leader_changes: c.counter("raft_leader_changes", "Changes of a known leader"),
            elections_won: c.counter("raft_elections_won", "Elections won by this node"),
            config_changes: c.counter(
                "raft_config_changes",
                "Committed changes of a group's configuration",
            ),
            commit_latency: c.seconds(
                "raft_commit_latency_seconds",
                "From a proposal at its leader to its outcome",
            ),
            read_index: c.seconds(
                "raft_read_index_seconds",
                "From a read to its confirmed and applied read point",
            ),
        };
        for result in Ended::ALL {
            drop(raft.proposals.get_or_create(&Result { result }));
        }
        for dir in [Direction::Sent, Direction::Received] {
            drop(raft.snapshot_times.get_or_create(&Dir { dir }));
            drop(raft.snapshot_bytes.get_or_create(&Dir { dir }));
            drop(raft.snapshots.get_or_create(&Dir { dir }));
        }
        raft
    }

    /// Where the consensus thread says how busy it is.
    pub(crate) fn consensus_thread(&self) -> &Busy {
        &self.busy[0]
    }

    /// Where the log's thread says how busy it is.
    pub(crate) fn log_thread(&self) -> &Busy {
        &self.busy[1]
    }

    /// A proposal has ended.
    pub(crate) fn proposed(&self, ended: Ended) {
        self.proposals
            .get_or_create(&Result { result: ended })
            .inc();
    }

    /// A snapshot begins to move.
    pub(crate) fn snapshot_begins(&self, dir: Direction) {
        self.snapshots.get_or_create(&Dir { dir }).inc();
    }

    /// It has moved, or not (`bytes` is then `None`).
    pub(crate) fn snapshot_ends(&self, dir: Direction, began: Instant, bytes: Option<u64>) {
        self.snapshots.get_or_create(&Dir { dir }).dec();
        if let Some(bytes) = bytes {
            self.snapshot_bytes
                .get_or_create(&Dir { dir })
                .inc_by(bytes);
            self.snapshot_times
                .get_or_create(&Dir { dir })
                .observe(began.elapsed().as_secs_f64());
        }
    }

    pub(super) fn show(&self, scene: &Scene) {
        self.clear();
        for group in &scene.groups {
            self.show_group(group);
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.groups.set(count(scene.hosted));
        self.quiet.set(count(scene.quiet));
        self.omitted
            .set(count(scene.hosted.saturating_sub(scene.groups.len())));
        self.show_load();
    }

    fn clear(&self) {
        for family in [
            &self.has_leader,
            &self.is_leader,
            &self.term,
            &self.commit,
            &self.applied,
            &self.last,
            &self.pending,
            &self.tolerance,
            &self.uncommitted,
        ] {
            family.clear();
        }
        self.role.clear();
        self.matched.clear();
        self.lag.clear();
        self.inflight.clear();
    }

    fn show_group(&self, group: &GroupScene) {
        let fsm = Fsm {
            fsm: group.fsm.clone(),
        };
        let status = &group.status;
        let raft = &status.raft;
        set(&self.has_leader, &fsm, u64::from(raft.leader.is_some()));
        set(&self.is_leader, &fsm, u64::from(raft.role == Role::Leader));
        set(&self.term, &fsm, raft.hard_state.term);
        set(&self.commit, &fsm, raft.commit);
        set(&self.applied, &fsm, status.applied);
        set(&self.last, &fsm, raft.last.index);
        set(&self.pending, &fsm, status.queued as u64);
        for role in [
            Role::Follower,
            Role::PreCandidate,
            Role::Candidate,
            Role::Leader,
        ] {
            let labels = FsmRole {
                fsm: group.fsm.clone(),
                role: word(role),
            };
            set(&self.role, &labels, u64::from(role == raft.role));
        }
        if raft.role == Role::Leader {
            self.show_followers(group, &fsm);
        }
    }

    fn show_followers(&self, group: &GroupScene, fsm: &Fsm) {
        let raft = &group.status.raft;
        let mut peers = BTreeMap::new();
        for peer in &raft.peers {
            peers.insert(peer.id.node.0, raft.last.index.saturating_sub(peer.matched));
            let labels = FsmPeer {
                fsm: group.fsm.clone(),
                peer: peer.id.node.0,
            };
            set(&self.matched, &labels, peer.matched);
            set(&self.inflight, &labels, peer.inflight_appends as u64);
        }
        for (peer, lag) in peers {
            let fsm = group.fsm.clone();
            set(&self.lag, &FsmPeer { fsm, peer }, lag);
        }
        set(&self.uncommitted, fsm, raft.uncommitted_bytes as u64);
        set(&self.tolerance, fsm, tolerance(&group.status));
    }

    fn show_load(&self) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = *measured;
        let elapsed = since.elapsed();
        let known = self.load.get(&Thread { thread: THREADS[0] }).is_some();
        if elapsed < LOAD_WINDOW && known {
            return;
        }
        let now = [0, 1].map(|i: usize| self.busy[i].0.load(Ordering::Relaxed));
        for (i, thread) in THREADS.into_iter().enumerate() {
            let busy = now[i].saturating_sub(before[i]) as f64;
            let share = busy / (elapsed.as_nanos() as f64).max(1.0);
            self.load
                .get_or_create(&Thread { thread })
                .set(share.min(1.0));
        }
        *measured = (Instant::now(), now);
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre_candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// How many of the voters that answer may still fail. Of a joint configuration the new half counts.
fn tolerance(status: &GroupStatus) -> u64 {
    let raft = &status.raft;
    let voters = &raft.configuration.voters;
    let answers = voters.iter().filter(|voter| {
        let peer = raft.peers.iter().find(|peer| peer.id == **voter);
        **voter == raft.id || peer.is_some_and(|peer| peer.active)
    });
    let quorum = voters.len() / 2 + 1;
    answers.count().saturating_sub(quorum) as u64
}
