//! Who is in the cluster, and making it so (DESIGN §7.5): the directory says what is wanted, each
//! group's leader brings its own configuration there, one change at a time.

mod book;
mod change;
mod chores;
mod follow;
mod list;
mod plan;
mod strangers;

pub(super) use book::{AddressBook, fuzzing};
pub(crate) use change::MAX_TOKEN_TTL;
pub(super) use change::address;
pub(super) use chores::Chores;
pub(super) use follow::Follower;
pub(super) use strangers::welcome;
