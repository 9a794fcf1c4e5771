//! What a node does with its groups.

mod changes;
mod commands;
mod members;
mod rig;
