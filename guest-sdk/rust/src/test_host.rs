//! Runs a machine in native unit tests, through the same frames as in the cluster.

use std::fmt;

use crate::{Environment, Error, StateMachine, apply_frame, query, state};

/// What a command or query came to: `Err` holds the bytes of a refusal.
pub type Outcome = Result<Vec<u8>, Vec<u8>>;

/// Time between two groups in a test, nanoseconds.
const TICK: u64 = 1_000_000;

/// A machine and its world.
#[derive(Debug)]
pub struct TestHost<M> {
    machine: M,
    environment: Environment,
    entries: u64,
}

impl<M: StateMachine> TestHost<M> {
    /// A machine after `init`, without settings.
    ///
    /// # Errors
    /// What `init` says.
    pub fn new() -> Result<Self, Error> {
        Self::with(Environment::test())
    }

    /// A machine after `init` in this world.
    ///
    /// # Errors
    /// What `init` says.
    pub fn with(environment: Environment) -> Result<Self, Error> {
        let machine = M::init(&environment)?;
        Ok(Self {
            machine,
            environment,
            entries: 0,
        })
    }

    /// A machine after `restore` in a world without settings.
    ///
    /// # Errors
    /// What `restore` says, or that it left bytes unread.
    pub fn restore(snapshot: &[u8]) -> Result<Self, Error> {
        Self::restore_with(Environment::test(), snapshot)
    }

    /// A machine after `restore` in this world.
    ///
    /// # Errors
    /// What `restore` says, or that it left bytes unread.
    pub fn restore_with(environment: Environment, mut snapshot: &[u8]) -> Result<Self, Error> {
        let machine = M::restore(&environment, &mut snapshot)?;
        state::end(&mut snapshot)?;
        Ok(Self {
            machine,
            environment,
            entries: 0,
        })
    }

    /// Applies one command, as an entry of its own.
    pub fn apply(&mut self, command: impl AsRef<[u8]>) -> Outcome {
        self.apply_group(&[command]).remove(0)
    }

    /// Applies commands as one entry.
    pub fn apply_group(&mut self, commands: &[impl AsRef<[u8]>]) -> Vec<Outcome> {
        self.entries += 1;
        self.environment.enter(self.entries * TICK, self.entries);
        let outcomes = apply_frame(&mut self.machine, &self.environment, &frame(commands))
            .expect("the frame was just built");
        unpack(&outcomes)
    }

    /// Answers a query.
    pub fn query(&self, request: impl AsRef<[u8]>) -> Outcome {
        query(&self.machine, &self.environment, request.as_ref())
    }

    /// The whole state.
    ///
    /// # Errors
    /// What `snapshot` says.
    pub fn snapshot(&self) -> Result<Vec<u8>, Error> {
        let mut sink = Vec::new();
        self.machine.snapshot(&self.environment, &mut sink)?;
        Ok(sink)
    }

    /// The machine itself.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Its world.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Applies `before`, takes a snapshot, and then applies `after` both to the machine and to one
/// restored from the snapshot.
///
/// # Panics
/// The two differ in an outcome or in their last snapshot, or the machine fails.
pub fn check_restore<M: StateMachine>(before: &[&str], after: &[&str]) {
    let mut original = expect(TestHost::<M>::new(), "init");
    original.apply_group(before);
    let snapshot = expect(original.snapshot(), "snapshot");
    let mut restored = expect(TestHost::<M>::restore(&snapshot), "restore");
    restored.entries = original.entries;
    for command in after {
        let (kept, came_back) = (original.apply(command), restored.apply(command));
        assert_eq!(kept, came_back, "after restore, `{command}` differs");
    }
    assert_eq!(
        expect(original.snapshot(), "snapshot"),
        expect(restored.snapshot(), "snapshot"),
        "after restore, the state differs"
    );
}

fn expect<T>(result: Result<T, Error>, call: impl fmt::Display) -> T {
    result.unwrap_or_else(|error| panic!("{call} failed: {error}"))
}

fn frame(commands: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut frame = length(commands.len()).to_vec();
    for command in commands {
        frame.extend_from_slice(&length(command.as_ref().len()));
        frame.extend_from_slice(command.as_ref());
    }
    frame
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("tests are small").to_le_bytes()
}

/// Reads outcomes as the host does, so that a test sees a malformed one.
fn unpack(outcomes: &[u8]) -> Vec<Outcome> {
    let (count, mut rest) = take_u32(outcomes);
    let unpacked = (0..count)
        .map(|_| {
            let (&status, after) = rest.split_first().expect("an outcome has a status");
            let (length, after) = take_u32(after);
            let (reply, after) = after.split_at(length as usize);
            rest = after;
            match status {
                0 => Ok(reply.to_vec()),
                1 => Err(reply.to_vec()),
                other => panic!("outcome has the unknown status {other}"),
            }
        })
        .collect();
    assert!(rest.is_empty(), "bytes after the last outcome");
    unpacked
}

fn take_u32(bytes: &[u8]) -> (u32, &[u8]) {
    let (head, rest) = bytes.split_first_chunk().expect("outcomes are complete");
    (u32::from_le_bytes(*head), rest)
}
