//! The `raft` crate.

use raft::eraftpb::{ConfState, Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use super::{COMPACT_EVERY, Engine, KEEP, NODES};

pub(super) struct Core {
    node: RawNode<MemStorage>,
    storage: MemStorage,
    sends: Vec<(u64, Message)>,
    committed: usize,
    applied: u64,
    floor: u64,
}

impl Core {
    /// Does what the node wants done, until it wants nothing.
    fn drain(&mut self) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            self.post(ready.take_messages());
            self.apply(ready.take_committed_entries());
            if !ready.entries().is_empty() {
                let mut log = self.storage.wl();
                log.append(ready.entries()).expect("a log without gaps");
            }
            if let Some(hard_state) = ready.hs() {
                self.storage.wl().set_hardstate(hard_state.clone());
            }
            self.post(ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.storage.wl().mut_hard_state().set_commit(commit);
            }
            self.post(light.take_messages());
            self.apply(light.take_committed_entries());
            self.node.advance_apply();
        }
        if self.applied >= self.floor + COMPACT_EVERY + KEEP {
            self.floor = self.applied - KEEP;
            let compacted = self.storage.wl().compact(self.floor);
            compacted.expect("applied entries");
        }
    }

    fn post(&mut self, messages: Vec<Message>) {
        let addressed = messages.into_iter().map(|message| (message.to, message));
        self.sends.extend(addressed);
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.index;
            // The leader's first entry of a term has no context.
            if entry.get_entry_type() == EntryType::EntryNormal && !entry.context.is_empty() {
                self.committed += 1;
            }
        }
    }
}

impl Engine for Core {
    type Message = Message;

    fn start(id: u64) -> Self {
        let state = ConfState::from((NODES.to_vec(), Vec::new()));
        let storage = MemStorage::new_with_conf_state(state);
        let config = Config {
            id,
            election_tick: 40,
            heartbeat_tick: 1,
            pre_vote: true,
            check_quorum: true,
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 64,
            ..Config::default()
        };
        let quiet = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage.clone(), &quiet).expect("a valid configuration");
        Self {
            node,
            storage,
            sends: Vec::new(),
            committed: 0,
            applied: 0,
            floor: 0,
        }
    }

    fn campaign(&mut self) {
        self.node.campaign().expect("a voter without a leader");
        self.drain();
    }

    fn heartbeat(&mut self) {
        self.node.tick();
        self.drain();
    }

    fn receive(&mut self, message: Message) {
        // Refused messages are lost.
        let _ = self.node.step(message);
        self.drain();
    }

    fn propose(&mut self, count: usize) -> usize {
        // An entry without data and context is taken for a leader's own.
        let accepted = (0..count).take_while(|_| self.node.propose(vec![1], Vec::new()).is_ok());
        let accepted = accepted.count();
        self.drain();
        accepted
    }

    fn sends(&mut self) -> Vec<(u64, Message)> {
        std::mem::take(&mut self.sends)
    }

    fn committed(&mut self) -> usize {
        std::mem::take(&mut self.committed)
    }

    fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }
}
