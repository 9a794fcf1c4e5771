//! What a node does with its groups.

mod changes;
mod commands;
mod many;
mod members;
mod rig;
