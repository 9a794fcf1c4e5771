//! The `raft` crate.

use raft::eraftpb::{
    ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry,
    EntryType, Message, MessageType,
};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole, Storage};

use crate::{Members, Replica, Sends};

/// A replica of the `raft` crate, whose writes are durable at once.
pub struct RaftRs {
    node: RawNode<MemStorage>,
    storage: MemStorage,
    committed: Vec<u64>,
    /// Index up to which `committed` goes.
    applied: u64,
}

fn node(id: u64, applied: u64, storage: MemStorage) -> RawNode<MemStorage> {
    let config = Config {
        id,
        election_tick: 10,
        heartbeat_tick: 1,
        applied,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        ..Config::default()
    };
    let quiet = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, storage, &quiet).expect("a valid configuration")
}

impl RaftRs {
    /// Does what the node wants done, until it wants nothing.
    fn drain(&mut self, sends: &mut Sends<Message>) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            post(ready.take_messages(), sends);
            self.apply(ready.take_committed_entries());
            if !ready.entries().is_empty() {
                let mut log = self.storage.wl();
                log.append(ready.entries()).expect("a log without gaps");
            }
            if let Some(hard_state) = ready.hs() {
                self.storage.wl().set_hardstate(hard_state.clone());
            }
            post(ready.take_persisted_messages(), sends);
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.storage.wl().mut_hard_state().set_commit(commit);
            }
            post(light.take_messages(), sends);
            self.apply(light.take_committed_entries());
            self.node.advance_apply();
        }
    }

    /// The crate tells a stale leader or candidate so only with check-quorum or pre-vote, which
    /// would bring clocks into the schedule.
    fn answer_stale(&self, message: &Message) -> Option<Message> {
        if message.term == 0 || message.term >= self.term() {
            return None;
        }
        let kind = match message.get_msg_type() {
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot => {
                MessageType::MsgAppendResponse
            }
            MessageType::MsgRequestVote => MessageType::MsgRequestVoteResponse,
            _ => return None,
        };
        let mut answer = Message::default();
        answer.set_msg_type(kind);
        answer.reject = true;
        (answer.from, answer.to, answer.term) = (message.to, message.from, self.term());
        Some(answer)
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = self.applied.max(entry.index);
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal => {
                    let bytes = entry.data[..].try_into().expect("proposed here");
                    self.committed.push(u64::from_be_bytes(bytes));
                }
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
                    let mut change = ConfChangeV2::default();
                    protobuf::Message::merge_from_bytes(&mut change, &entry.data)
                        .expect("proposed by this crate");
                    let state = self
                        .node
                        .apply_conf_change(&change)
                        .expect("a valid change");
                    self.storage.wl().set_conf_state(state);
                }
            }
        }
    }
}

fn post(messages: Vec<Message>, sends: &mut Sends<Message>) {
    sends.extend(messages.into_iter().map(|message| (message.to, message)));
}

impl Replica for RaftRs {
    type Message = Message;

    fn start(id: u64, voters: &[u64]) -> Self {
        let state = ConfState::from((voters.to_vec(), Vec::new()));
        let storage = MemStorage::new_with_conf_state(state);
        Self {
            node: node(id, 0, storage.clone()),
            storage,
            committed: Vec::new(),
            applied: 0,
        }
    }

    fn restart(&mut self) {
        let id = self.node.raft.id;
        self.node = node(id, self.applied, self.storage.clone());
    }

    fn campaign(&mut self, sends: &mut Sends<Message>) {
        if self.node.raft.promotable() {
            // Refused where it cannot be; the schedule does not care.
            let _ = self.node.campaign();
            self.drain(sends);
        }
    }

    fn heartbeat(&mut self, sends: &mut Sends<Message>) {
        if self.leads() {
            self.node.ping();
            self.drain(sends);
        }
    }

    fn propose(&mut self, payload: u64, sends: &mut Sends<Message>) {
        if self.leads() {
            let _ = self
                .node
                .propose(Vec::new(), payload.to_be_bytes().to_vec());
            self.drain(sends);
        }
    }

    fn change(&mut self, members: &Members, sends: &mut Sends<Message>) {
        if !self.leads() {
            return;
        }
        let now = self.members();
        let mut change = ConfChangeV2::default();
        let mut push = |kind, node: u64| {
            let mut single = ConfChangeSingle::default();
            single.set_change_type(kind);
            single.node_id = node;
            change.mut_changes().push(single);
        };
        for node in members.voters.difference(&now.voters) {
            push(ConfChangeType::AddNode, *node);
        }
        for node in members.learners.difference(&now.learners) {
            push(ConfChangeType::AddLearnerNode, *node);
        }
        for node in now.voters.union(&now.learners) {
            if !members.voters.contains(node) && !members.learners.contains(node) {
                push(ConfChangeType::RemoveNode, *node);
            }
        }
        change.set_transition(ConfChangeTransition::Auto);
        let _ = self.node.propose_conf_change(Vec::new(), change);
        self.drain(sends);
    }

    fn transfer(&mut self, to: u64, sends: &mut Sends<Message>) {
        if self.leads() {
            self.node.transfer_leader(to);
            self.drain(sends);
        }
    }

    fn receive(&mut self, _: u64, message: Message, sends: &mut Sends<Message>) {
        if let Some(answer) = self.answer_stale(&message) {
            sends.push((answer.to, answer));
            return;
        }
        // Messages of replicas it does not know are refused; they are lost then.
        let _ = self.node.step(message);
        self.drain(sends);
    }

    fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    fn term(&self) -> u64 {
        self.node.raft.term
    }

    fn members(&self) -> Members {
        let state = self.storage.initial_state().expect("in memory").conf_state;
        Members {
            voters: state.voters.iter().copied().collect(),
            learners: state.learners.iter().copied().collect(),
        }
    }

    fn committed(&self) -> Vec<u64> {
        self.committed.clone()
    }
}
