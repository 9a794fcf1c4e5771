//! The directory: the native state machine of group 0, which names what is wanted (DESIGN §7.5).
//!
//! Each group's own log is the truth for its configuration, plugin and settings; what is here of
//! them is what its creator asked for, and a copy for listing. Hosts reconcile towards it.

mod command;
mod ids;
mod machine;
mod machines;
mod members;
mod refusal;
mod state;
mod token;
mod version;

pub use command::DirectoryCommand;
pub use machine::{Directory, DirectoryHandle};
pub use machines::NativeMachines;
pub use members::{
    Founder, MAX_CLUSTER_NODES, MAX_CLUSTER_VOTERS, MAX_NODE_TEXT, Members, NewNode, Node, NodeRole,
};
pub use refusal::Refusal;
pub use state::{DirectoryState, Fsm, GroupMembers, MAX_NAME, Placement, Plugin, Wanted};
pub use token::{JoinToken, MAX_TOKEN_USES, MAX_TOKENS};

#[cfg(test)]
mod member_tests;
#[cfg(test)]
mod tests;
