//! Clusters of real processes for the end-to-end tests.

mod cluster;
mod joining;
mod load;
mod ports;
mod wait;

pub use cluster::{Cluster, binary, plugin};
pub use load::Load;
pub use wait::{eventually, eventually_for};
