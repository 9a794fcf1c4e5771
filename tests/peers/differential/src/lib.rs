//! One schedule, two implementations of Raft: Coracle's core and the `raft` crate. Whatever the
//! schedule says - elections, proposals, partitions, lost messages, crashes, transfers, changes of
//! members - both must commit the same entries in the same order.
//!
//! The network is in lockstep rounds, so that "the same schedule" has a meaning although the two
//! speak different messages: in a round everything that is under way arrives, in the order of
//! (sender, addressee, sending).

mod cluster;
mod coracle;
mod raft_rs;
mod replica;
mod schedule;

pub use cluster::{Cluster, View};
pub use coracle::Coracle;
pub use raft_rs::RaftRs;
pub use replica::{Members, Replica, Sends};
pub use schedule::{Act, play};
