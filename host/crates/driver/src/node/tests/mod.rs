//! What a node does with its groups.

mod commands;
mod members;
mod rig;
