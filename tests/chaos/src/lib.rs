//! Chaos: real faults on real processes. Every run has a private network namespace, a cluster in
//! it, clients that write a history of what they were told, and faults that follow from a seed;
//! afterwards everything that was seen is checked, from files.

pub mod cluster;
pub mod ends;
pub mod failure;
pub mod inside;
pub mod load;
pub mod manifest;
pub mod network;
pub mod play;
pub mod program;
pub mod relay;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod scenarios;
pub mod scrape;
pub mod steps;
pub mod summary;
pub mod timeline;
pub mod tool;
pub mod verdict;
pub mod watch;
pub mod weather;
