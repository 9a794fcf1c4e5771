//! What must hold after every step, whatever a script does.

use std::collections::BTreeMap;

use coracle_proto::quorum::{VoteResult, vote_result};
use coracle_proto::{Configuration, Effect, Entry, Index, LogId, ReplicaId, Role, Term};

use super::node::Node;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    leaders: BTreeMap<Term, ReplicaId>,
    /// Entries by identity: the same everywhere.
    entries: BTreeMap<LogId, Entry>,
    /// Committed entries by index, and the highest term in which that was known.
    committed: BTreeMap<Index, (LogId, Term)>,
    /// The last commit index seen of each node.
    commits: BTreeMap<u64, Index>,
    /// The state after each applied entry.
    states: BTreeMap<Index, Vec<u8>>,
}

impl Invariants {
    /// A node lost its replica and got another.
    pub(crate) fn forget(&mut self, node: u64) {
        self.commits.remove(&node);
    }

    /// Two entries with the same index and term are the same.
    pub(crate) fn see_write(&mut self, effect: &Effect) -> Result<(), String> {
        let Effect::Persist { entries, .. } = effect else {
            return Ok(());
        };
        for entry in entries {
            let known = self
                .entries
                .entry(entry.id())
                .or_insert_with(|| entry.clone());
            if known != entry {
                return Err(format!("{known} is {entry} elsewhere"));
            }
        }
        Ok(())
    }

    /// State machine safety.
    pub(crate) fn applied(&mut self, node: u64, entry: &Entry, state: &[u8]) -> Result<(), String> {
        let index = entry.index;
        let known = self.states.entry(index).or_insert_with(|| state.to_vec());
        if known != state {
            return Err(format!("node {node} has another state at {index}"));
        }
        Ok(())
    }

    /// A node's state is that of the snapshot it has installed.
    pub(crate) fn restore(
        &mut self,
        nodes: &mut BTreeMap<u64, Node>,
        node: u64,
    ) -> Result<(), String> {
        let Some(state) = nodes.get_mut(&node) else {
            return Ok(());
        };
        let index = state.applied;
        match self.states.get(&index) {
            Some(known) => known.clone_into(&mut state.state),
            // The snapshot that all logs begin with.
            None if state.snapshot.last.term == 0 => {}
            None => return Err(format!("node {node} installed {index}, applied by nobody")),
        }
        Ok(())
    }

    /// Election safety, leader completeness, log matching, commitment.
    pub(crate) fn observe(&mut self, nodes: &BTreeMap<u64, Node>) -> Result<(), String> {
        for (number, node) in nodes {
            self.observe_commit(*number, node, nodes)?;
        }
        for (number, node) in nodes {
            if node.leads() {
                self.observe_leader(*number, node)?;
            }
        }
        for (number, node) in nodes {
            for (other, peer) in nodes.range(number + 1..) {
                logs_match(node, peer).map_err(|e| format!("nodes {number} and {other}: {e}"))?;
            }
        }
        Ok(())
    }

    fn observe_leader(&mut self, number: u64, node: &Node) -> Result<(), String> {
        let status = node.raft.status();
        let term = status.hard_state.term;
        let known = *self.leaders.entry(term).or_insert(status.id);
        if known != status.id {
            let own = status.id;
            return Err(format!("both {known} and {own} lead term {term}"));
        }
        for (index, (id, known_in)) in self.committed.range(status.floor.index + 1..) {
            if *known_in <= term && node.raft.term_at(*index) != Some(id.term) {
                return Err(format!("node {number} leads term {term} without {id}"));
            }
        }
        Ok(())
    }

    /// A commit index never goes back, and what a leader commits is durable at a quorum.
    fn observe_commit(
        &mut self,
        number: u64,
        node: &Node,
        nodes: &BTreeMap<u64, Node>,
    ) -> Result<(), String> {
        let status = node.raft.status();
        let before = self.commits.insert(number, status.commit).unwrap_or(0);
        if status.commit < before {
            let now = status.commit;
            return Err(format!("node {number} committed {before}, now {now}"));
        }
        for index in before.max(status.floor.index) + 1..=status.commit {
            let Some(term) = node.raft.term_at(index) else {
                continue;
            };
            let id = LogId { term, index };
            let (known, known_in) = *self
                .committed
                .entry(index)
                .or_insert((id, status.hard_state.term));
            if known != id {
                return Err(format!(
                    "node {number} commits {id}, {known} is committed ({known_in})"
                ));
            }
            if status.role == Role::Leader && !is_durable_at_quorum(id, node, nodes) {
                return Err(format!("node {number} commits {id} without a quorum"));
            }
        }
        Ok(())
    }
}

/// By the configuration in force, or by the one before, if the step that committed the entry
/// appended the next.
fn is_durable_at_quorum(id: LogId, leader: &Node, nodes: &BTreeMap<u64, Node>) -> bool {
    let holds = |replica: &ReplicaId| {
        let node = nodes.get(&replica.node.0);
        Some(node.is_some_and(|node| {
            let disk = &node.disk;
            node.id() == *replica
                && (disk.floor.index >= id.index || disk.id_at(id.index) == Some(id))
        }))
    };
    let counts = |configuration: &Configuration| {
        !configuration.voters.is_empty() && vote_result(configuration, holds) == VoteResult::Won
    };
    let raft = &leader.raft;
    counts(&raft.status().configuration) || raft.configuration_at(id.index).is_some_and(counts)
}

/// Where two logs have the same entry, they are equal below it.
fn logs_match(a: &Node, b: &Node) -> Result<(), String> {
    let (left, right) = (a.raft.status(), b.raft.status());
    let from = left.floor.index.max(right.floor.index) + 1;
    let through = left.last.index.min(right.last.index);
    let mut matched = false;
    for index in (from..=through).rev() {
        let terms = (a.raft.term_at(index), b.raft.term_at(index));
        let same = terms.0 == terms.1;
        if matched && !same {
            return Err(format!("entry {index} is of terms {terms:?}"));
        }
        matched |= same;
    }
    Ok(())
}
