//! What is compared with a file's transcript: states, logs, progress, and what was announced.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use coracle_proto::{
    Configuration, Entry, EntryKind, PeerStatus, ProgressState, ReplicaId, Role, Term,
};

use super::change::LEAVE;
use super::node::Node;
use super::world::World;

/// `1: StateLeader (Voter) Term:1 Lead:1`, voters being those of the configuration as of the last
/// applied entry, which is the one in force there.
pub(crate) fn raft_state(world: &World) -> Vec<String> {
    let line = |(number, node): (&u64, &Node)| {
        let status = node.raft.status();
        let applied = applied_configuration(node);
        let voter = match applied.is_voter(status.id) {
            true => "Voter",
            false => "Non-Voter",
        };
        let (state, term) = (state(status.role), status.hard_state.term);
        let lead = status.leader.map_or(0, |id| id.node.0);
        format!("{number}: {state} ({voter}) Term:{term} Lead:{lead}")
    };
    world.nodes.iter().map(line).collect()
}

fn state(role: Role) -> &'static str {
    match role {
        Role::Follower => "StateFollower",
        Role::PreCandidate => "StatePreCandidate",
        Role::Candidate => "StateCandidate",
        Role::Leader => "StateLeader",
    }
}

fn applied_configuration(node: &Node) -> Configuration {
    node.snapshot.configuration.clone()
}

/// The durable entries of a node.
pub(crate) fn raft_log(world: &World, number: u64) -> Vec<String> {
    let Some(node) = world.nodes.get(&number) else {
        return Vec::new();
    };
    let disk = &node.disk;
    if disk.entries.is_empty() {
        let last = disk.floor.index;
        let first = last + 1;
        return vec![format!(
            "log is empty: first index={first}, last index={last}"
        )];
    }
    let line = |entry: &Entry| entry_line(world, entry);
    disk.entries.iter().map(line).collect()
}

fn entry_line(world: &World, entry: &Entry) -> String {
    let id = entry.id();
    match (entry.kind, world.labels.get(&id)) {
        (_, Some(label)) => format!("{id} {label}"),
        (EntryKind::Configuration, None) => format!("{id} {LEAVE}"),
        (EntryKind::Noop | EntryKind::Normal, None) => {
            let payload = String::from_utf8_lossy(&entry.payload);
            format!("{id} EntryNormal {payload:?}")
        }
    }
}

/// A leader's view of everybody, itself included.
pub(crate) fn status(world: &World, number: u64) -> Vec<String> {
    let Some(node) = world.nodes.get(&number).filter(|node| node.leads()) else {
        return vec!["ok".to_owned()];
    };
    let status = node.raft.status();
    let mut lines = BTreeMap::new();
    if status.configuration.members().contains(&status.id) {
        let matched = node.disk.last();
        let next = matched + 1;
        lines.insert(
            number,
            format!("{number}: StateReplicate match={matched} next={next}"),
        );
    }
    for peer in &status.peers {
        let learner = status.configuration.learners.contains(&peer.id);
        lines.insert(peer.id.node.0, progress(node, peer, learner));
    }
    lines.into_values().collect()
}

fn progress(node: &Node, peer: &PeerStatus, learner: bool) -> String {
    let number = peer.id.node;
    let (matched, next) = (peer.matched, peer.next);
    let state = match peer.state {
        ProgressState::Probe => "StateProbe",
        ProgressState::Replicate => "StateReplicate",
        ProgressState::Snapshot => "StateSnapshot",
    };
    let mut line = format!("{}: {state} match={matched} next={next}", number.0);
    let full = peer.inflight_appends >= node.options.config.max_inflight_appends;
    let mut add = |condition: bool, text: &str| {
        if condition {
            line.push(' ');
            line.push_str(text);
        }
    };
    add(learner, "learner");
    add(!peer.active, "inactive");
    let mut inflight = format!("inflight={}", peer.inflight_appends);
    if full {
        inflight.push_str("[full]");
    }
    add(peer.inflight_appends > 0, &inflight);
    line
}

/// Takes out of a line of `status` what has no counterpart here: `paused` follows from a probe,
/// a snapshot or a full window; what a pending snapshot covers is the driver's matter; `commit`
/// is what the peer was told. The next index of a peer that waits for a snapshot means nothing
/// until the snapshot has arrived.
pub(crate) fn normalise_status(line: &str) -> String {
    let dropped = |word: &&str| {
        !(*word == "paused" || word.starts_with("pendingSnap=") || word.starts_with("commit="))
    };
    let waits = line.contains("StateSnapshot");
    let words = line.split(' ').filter(dropped);
    let words: Vec<_> = words
        .filter(|word| !(waits && word.starts_with("next=")))
        .collect();
    words.join(" ")
}

/// What the transcript of a block says of a node at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// `became leader at term 2`
    pub(crate) role: Option<(Role, Term)>,
    /// `switched to configuration voters=(1 2)`
    pub(crate) configuration: Option<String>,
}

/// The last announcement of each kind and node.
pub(crate) fn announced(expected: &[String]) -> BTreeMap<u64, Announced> {
    let mut found: BTreeMap<u64, Announced> = BTreeMap::new();
    for line in expected {
        let Some((number, text)) = line
            .trim_start()
            .strip_prefix("INFO ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        if let Some(configuration) = text.strip_prefix("switched to configuration ") {
            found.entry(number).or_default().configuration = Some(configuration.to_owned());
        }
        if let Some(role) = became(text) {
            found.entry(number).or_default().role = Some(role);
        }
    }
    found
}

fn became(text: &str) -> Option<(Role, Term)> {
    let (role, term) = text.strip_prefix("became ")?.split_once(" at term ")?;
    let role = match role {
        "follower" => Role::Follower,
        "pre-candidate" => Role::PreCandidate,
        "candidate" => Role::Candidate,
        "leader" => Role::Leader,
        _ => return None,
    };
    Some((role, term.parse().ok()?))
}

/// What is announced, as lines: from the transcript, and from the nodes as they are.
pub(crate) fn compare_announced(world: &World, expected: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for (number, announced) in announced(expected) {
        let Some(node) = world.nodes.get(&number) else {
            continue;
        };
        if let Some((role, term)) = announced.role {
            let status = node.raft.status();
            theirs.push(format!("{number} is {role:?} at term {term}"));
            ours.push(format!(
                "{number} is {:?} at term {}",
                status.role, status.hard_state.term
            ));
        }
        if let Some(configuration) = announced.configuration {
            theirs.push(format!("{number} has {configuration}"));
            let own = describe(&applied_configuration(node));
            ours.push(format!("{number} has {own}"));
        }
    }
    (theirs, ours)
}

/// `voters=(1 2)&&(1) learners=(3) autoleave`
pub(crate) fn describe(configuration: &Configuration) -> String {
    let ids = |set: &std::collections::BTreeSet<ReplicaId>| {
        let ids: Vec<_> = set.iter().map(|id| id.node.0.to_string()).collect();
        format!("({})", ids.join(" "))
    };
    let mut text = format!("voters={}", ids(&configuration.voters));
    let mut add = |name: &str, set| {
        if !std::collections::BTreeSet::is_empty(set) {
            write!(text, "{name}{}", ids(set)).expect("to a string");
        }
    };
    add("&&", &configuration.outgoing);
    add(" learners=", &configuration.learners);
    add(" learners_next=", &configuration.learners_next);
    if configuration.auto_leave {
        text.push_str(" autoleave");
    }
    text
}
