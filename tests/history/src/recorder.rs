//! How a client writes down what it does.

use crate::{Action, Operation, Outcome, Reply, Session};

/// Numbers of operations that one client may record.
const PER_CLIENT: u64 = 1 << 32;

/// The operations of one client; those of all clients make a [history](crate::History).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    client: u64,
    operations: Vec<Operation>,
}

impl Recorder {
    /// Of a client with this number, unlike that of any other, which has done nothing yet.
    pub fn new(client: u64) -> Self {
        Self {
            client,
            operations: Vec::new(),
        }
    }

    /// It asks for something new. Returns the operation's id.
    pub fn invoke(
        &mut self,
        now: u64,
        group: impl Into<String>,
        key: impl Into<String>,
        action: Action,
        session: Option<Session>,
    ) -> u64 {
        let id = self.client * PER_CLIENT + self.operations.len() as u64;
        self.operations.push(Operation {
            id,
            client: self.client,
            group: group.into(),
            key: key.into(),
            action,
            session,
            invoked: now,
            replies: Vec::new(),
            not_applied: false,
        });
        id
    }

    /// An answer came to any attempt of an operation of this client, first or not.
    pub fn answered(&mut self, id: u64, now: u64, index: u64, outcome: Outcome) {
        if let Some(operation) = self.find(id) {
            let at = now;
            operation.replies.push(Reply { at, index, outcome });
        }
    }

    /// Every attempt of the operation was answered with "not applied", and there will be no other.
    /// (With an attempt of unknown fate among them, say nothing.)
    pub fn not_applied(&mut self, id: u64) {
        if let Some(operation) = self.find(id) {
            operation.not_applied = true;
        }
    }

    /// An operation of this client.
    pub fn operation(&self, id: u64) -> Option<&Operation> {
        self.operations.get(self.position(id)?)
    }

    /// What was recorded.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What was recorded.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    fn find(&mut self, id: u64) -> Option<&mut Operation> {
        let position = self.position(id)?;
        self.operations.get_mut(position)
    }

    fn position(&self, id: u64) -> Option<usize> {
        let number = id.checked_sub(self.client * PER_CLIENT)?;
        usize::try_from(number).ok()
    }
}
