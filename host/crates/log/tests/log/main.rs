//! The log against a disk that fails in every way it may.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

mod anchor;
mod crash;
mod damage;
mod fixture;
mod model;
mod real_disk;
mod snapshots;
mod store;
