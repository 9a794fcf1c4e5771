//! Scripts in `testdata/interaction`: several replicas, stepped by hand; what is compared is
//! every effect, in order.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use coracle_proto::{
    Config, Configuration, Envelope, Input, Message, NodeId, TimeoutKind, VoteKind,
};

use crate::cluster::{Cluster, config, replica};
use crate::script::{self, Command};

#[test]
fn the_scripts_print_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/interaction");
    for file in script::files(&folder) {
        let mut cluster = Cluster::new(0, config);
        script::check(&file, |command| run(&mut cluster, command));
    }
}

fn run(cluster: &mut Cluster, command: &Command<'_>) -> String {
    cluster.trace.clear();
    match command.name {
        "cluster" => *cluster = found(command),
        "campaign" => {
            let jitter = cluster.next_jitter();
            cluster.step(command.word(0), Input::Campaign { jitter });
        }
        "timeout" => {
            let kind = match command.words.get(1) {
                Some(&"heartbeat") => TimeoutKind::Heartbeat,
                _ => TimeoutKind::Election,
            };
            let jitter = cluster.next_jitter();
            cluster.step(command.word(0), Input::Timeout { kind, jitter });
        }
        "advance" => cluster.now = cluster.now + Duration::from_millis(command.word(0)),
        "run" => cluster.run(Duration::from_millis(command.word(0))),
        "settle" => cluster.settle(),
        "persist" => while cluster.persist_one(command.word(0)) {},
        "deliver" => {
            for envelope in matching(cluster, command) {
                cluster.deliver(envelope);
            }
        }
        "drop" => {
            for envelope in matching(cluster, command) {
                cluster.trace.push(format!("lost {envelope}"));
            }
        }
        "network" => {
            let queued: Vec<_> = cluster.network.iter().map(ToString::to_string).collect();
            cluster.trace.extend(queued);
        }
        "propose" => {
            let payload = command.words.get(1).copied().unwrap_or_default();
            cluster.propose(command.word(0), payload);
        }
        "read" => cluster.read_at(command.word(0), command.word(1)),
        "isolate" => cluster.isolate(command.word(0)),
        "cut" => {
            cluster.cut.insert((command.word(0), command.word(1)));
        }
        "heal" => cluster.heal(),
        "restart" => cluster.restart(command.word(0)),
        "compact" => cluster.compact(command.word(0), command.word(1)),
        "peer-down" => {
            let peer = NodeId(command.word(1));
            cluster.step(command.word(0), Input::PeerDown(peer));
        }
        "status" => return status(cluster),
        "peers" => return peers(cluster, command.word(0)),
        "log" => return log(cluster, command.word(0)),
        other => panic!("no such command: {other}"),
    }
    match command.words.last() {
        Some(&"quietly") => String::new(),
        _ => cluster.trace.join("\n"),
    }
}

fn found(command: &Command<'_>) -> Cluster {
    let nodes = |key| {
        let values = command.values(key).unwrap_or_default();
        let parse = |value: &&str| NodeId(value.parse().expect("a node"));
        values.iter().map(parse).collect::<Vec<_>>()
    };
    let mut configuration = Configuration::initial(nodes("voters"));
    configuration
        .learners
        .extend(nodes("learners").iter().map(|node| replica(node.0)));
    let size = |key, default: usize| {
        let given = command.number(key);
        given.map_or(default, |n| usize::try_from(n).expect("small"))
    };
    let off = |key| command.values(key) == Some(&["off"]);
    let template = Config {
        pre_vote: !off("prevote"),
        check_quorum: !off("checkquorum"),
        max_inflight_appends: size("inflight", 8),
        max_append_entries: size("entries", 100),
        cache_bytes: size("cache", 1 << 20),
        ..config(0)
    };
    Cluster::of(&configuration, move |node| Config {
        id: replica(node),
        ..template.clone()
    })
}

/// Takes the messages out of the network that are from, to and of what the command names.
fn matching(cluster: &mut Cluster, command: &Command<'_>) -> Vec<Envelope> {
    let wanted = |envelope: &Envelope| {
        let is = |key, value| command.number(key).is_none_or(|wanted| wanted == value);
        let kinds = command.values("kind");
        is("from", envelope.from.node.0)
            && is("to", envelope.to.node.0)
            && kinds.is_none_or(|kinds| kinds.contains(&kind(&envelope.message)))
    };
    let (taken, left) = cluster
        .network
        .drain(..)
        .partition(|envelope| wanted(envelope));
    cluster.network = left;
    taken.into()
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Vote {
            kind: VoteKind::Pre,
            ..
        } => "pre-vote",
        Message::Vote { .. } => "vote",
        Message::VoteReply { .. } => "vote-reply",
        Message::Append { .. } => "append",
        Message::AppendReply(_) => "append-reply",
        Message::Heartbeat { .. } => "heartbeat",
        Message::HeartbeatReply { .. } => "heartbeat-reply",
        Message::Snapshot { .. } => "snapshot",
        Message::Quiesce { .. } => "quiesce",
        Message::TimeoutNow => "timeout-now",
        Message::Wake => "wake",
        Message::ReadIndex { .. } => "read-index",
        Message::ReadIndexReply { .. } => "read-index-reply",
    }
}

fn status(cluster: &Cluster) -> String {
    let mut text = String::new();
    for (node, state) in &cluster.nodes {
        let status = state.raft.status();
        let (role, hard_state) = (status.role, status.hard_state);
        let (commit, last, floor) = (status.commit, status.last, status.floor);
        let applied = state.applied.len();
        writeln!(
            text,
            "n{node} {role:?} {hard_state} commit={commit} applied={applied} last={last} floor={floor}"
        )
        .expect("to a string");
    }
    text
}

fn peers(cluster: &Cluster, node: u64) -> String {
    let mut text = String::new();
    for peer in cluster.nodes[&node].raft.status().peers {
        let (id, state, matched, next) = (peer.id, peer.state, peer.matched, peer.next);
        let active = if peer.active { "" } else { " inactive" };
        writeln!(text, "{id} {state:?} match={matched} next={next}{active}").expect("to a string");
    }
    text
}

fn log(cluster: &Cluster, node: u64) -> String {
    let entries = cluster.nodes[&node].disk.entries.iter();
    entries.map(|entry| format!("{entry}\n")).collect()
}
