//! The worker and its readers on a log and snapshots in memory.

mod checkpoints;
mod groups;
mod memory;
mod queries;
mod random;
mod restarts;
mod restores;
mod rig;
mod sessions;
mod tickets;
mod traps;
mod upgrades;
