//! The directory as a state machine.

use std::sync::{Arc, Mutex, PoisonError};

use coracle_proto::Index;

use super::command::DirectoryCommand;
use super::state::DirectoryState;
use crate::fsm::encode_outcomes;
use crate::fsm::native_kv::{read_all, split, write_all};
use crate::{Environment, FailureClass, Fault, Machine, Reply, Sink, Source};

/// Where a node's copy of the directory is published after each entry of group 0.
#[derive(Debug, Clone, Default)]
pub struct DirectoryHandle {
    latest: Arc<Mutex<Latest>>,
}

#[derive(Debug, Default)]
struct Latest {
    index: Index,
    state: Arc<DirectoryState>,
}

impl DirectoryHandle {
    /// As of the last entry that was applied here. While group 0 is replayed at start it is older
    /// than what was acknowledged.
    pub fn state(&self) -> Arc<DirectoryState> {
        // What is inside is replaced as a whole, so a panic elsewhere cannot leave it half written.
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&latest.state)
    }

    /// An instance that is rebuilt goes through older states again. Whoever acts on the directory
    /// must not see those: what was created since would look as if nobody wanted it.
    fn publish(&self, index: Index, state: &Arc<DirectoryState>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if index >= latest.index {
            *latest = Latest {
                index,
                state: Arc::clone(state),
            };
        }
    }
}

/// An instance.
#[derive(Debug)]
pub struct Directory {
    state: Arc<DirectoryState>,
    /// `None` in a reader twin.
    handle: Option<DirectoryHandle>,
    commands: u64,
}

impl Directory {
    /// A fresh instance, empty or with a state, as of the entry at `index`. `handle`: where to
    /// publish it.
    pub fn start(
        index: Index,
        source: Option<&mut dyn Source>,
        handle: Option<DirectoryHandle>,
    ) -> Result<Self, Fault> {
        let state = match source {
            None => DirectoryState::default(),
            Some(source) => {
                let bytes = read_all(source)?;
                // The file's checksums were right, so this build cannot read what another wrote.
                DirectoryState::decode(&bytes).map_err(Fault::Host)?
            }
        };
        let directory = Self {
            state: Arc::new(state),
            handle,
            commands: 0,
        };
        directory.publish(index);
        Ok(directory)
    }

    fn command(&mut self, environment: &Environment, command: &[u8]) -> Reply {
        let state = Arc::make_mut(&mut self.state);
        let result = DirectoryCommand::decode(command)
            .and_then(|command| state.apply(environment.index, environment.time, command));
        match result {
            Ok(reply) => Reply::Ok(reply),
            Err(refusal) => Reply::Refused(refusal.to_string().into_bytes()),
        }
    }

    fn publish(&self, index: Index) {
        if let Some(handle) = &self.handle {
            handle.publish(index, &self.state);
        }
    }
}

impl Machine for Directory {
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        let commands = split(frame).ok_or_else(|| Fault::Failed {
            class: FailureClass::BadResult,
            detail: "a malformed frame".into(),
        })?;
        let replies: Vec<_> = commands
            .iter()
            .map(|command| self.command(environment, command))
            .collect();
        self.commands += replies.len() as u64;
        self.publish(environment.index);
        Ok(encode_outcomes(&replies))
    }

    /// Answers the whole state, see [`DirectoryState::decode`].
    fn query(&mut self, _: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        Ok(match request {
            b"state" => Reply::Ok(self.state.encode()),
            _ => Reply::Refused(b"bad request: the directory knows one query, `state`".to_vec()),
        })
    }

    fn snapshot(&mut self, _: &Environment, sink: &mut dyn Sink) -> Result<(), Fault> {
        write_all(sink, &self.state.encode())
    }

    fn fuel_used(&self) -> u64 {
        self.commands
    }
}
