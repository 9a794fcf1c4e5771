//! The directory: the native state machine of group 0, which names what is wanted (DESIGN §7.5).
//!
//! Each group's own log is the truth for its configuration, plugin and settings; what is here of
//! them is what its creator asked for, and a copy for listing. Hosts reconcile towards it.

mod command;
mod ids;
mod machine;
mod machines;
mod state;

pub use command::{DirectoryCommand, Refusal};
pub use machine::{Directory, DirectoryHandle};
pub use machines::NativeMachines;
pub use state::{DirectoryState, Fsm, MAX_NAME, Node, Plugin};

#[cfg(test)]
mod tests;
