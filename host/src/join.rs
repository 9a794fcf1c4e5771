//! Joining a running cluster with a ticket: the asking side, and the words that both sides share.

mod ask;
mod folder;
pub(crate) mod wire;

pub use ask::{Answer, JoinFailure, Joiner};
pub use folder::{FolderError, NodeFolder};
