//! A node: consensus for all groups of one process. Polled by one thread.

mod config;
mod event;
mod outbox;
mod random;
mod status;

use std::sync::Arc;

use coracle_proto::{GroupId, Instant, NodeId};

use crate::{LogReader, Recovered};

pub use config::NodeConfig;
pub use event::Event;
pub use outbox::{LeaderChange, Outbox, SendSnapshot};
pub use random::Entropy;
pub use status::GroupStatus;

/// Consensus for all groups of one process.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
}

#[expect(
    unused_variables,
    clippy::todo,
    clippy::needless_pass_by_value,
    reason = "signatures first; the node lands next"
)]
impl Node {
    /// Events that one turn should be given at most, so that timers are not held up.
    pub const MAX_EVENTS: usize = 1024;

    /// A node with the groups the log held. Their workers are started by the caller, for every
    /// group in `recovered`; those of later groups when [`Outbox::started`] names them.
    /// `seed`: for the jitter of timers.
    pub fn new(
        config: NodeConfig,
        recovered: &Recovered,
        log: Arc<dyn LogReader>,
        entropy: Box<dyn Entropy>,
        now: Instant,
        seed: u64,
    ) -> Self {
        todo!()
    }

    /// Takes events, fires the timers that are due, and proposes what waits. `wall`: nanoseconds
    /// since the Unix epoch, for the time stamped into entries. What is to be done is appended to
    /// `out`.
    pub fn turn(
        &mut self,
        now: Instant,
        wall: u64,
        events: impl IntoIterator<Item = Event>,
        out: &mut Outbox,
    ) {
        todo!()
    }

    /// When to call `turn` at the latest, with or without events; `None`: not before an event.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// A picture of one group; `None` if it is not hosted here.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        todo!()
    }

    /// A picture of all groups hosted here, ascending by id.
    pub fn statuses(&self) -> Vec<GroupStatus> {
        todo!()
    }

    /// Nodes that any group would like to talk to, ascending, without this one.
    pub fn contacts(&self) -> Vec<NodeId> {
        todo!()
    }
}
