//! Exhaustive search of small slices of what the real core can do.
//!
//! The core is the state of a stateright model as it is: [`coracle_proto::Raft`] can be cloned,
//! compared and hashed. Timers, writes, crashes and the arrival of each message are steps of the
//! search; the network is a set of which any message may arrive next, twice, or never. What must
//! hold ([`Invariant`]) is judged by an observer that sees every disk, and every slice has
//! [goals](Goal) that it must reach.

mod abstract_raft;
mod action;
mod bug;
mod disk;
mod ghost;
mod goals;
mod invariants;
mod network;
mod replica;
mod report;
mod search;
mod slice;
mod state;

pub use abstract_raft::{AbstractAction, AbstractRaft, AbstractState};
pub use action::Action;
pub use bug::Bug;
pub use goals::Goal;
pub use invariants::Invariant;
pub use report::{Outcome, check};
pub use search::Search;
pub use slice::{Budget, Slice, slice, slices};
pub use state::State;
