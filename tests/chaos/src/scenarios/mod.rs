//! All scenarios, one file for each kind of fault.

mod clock; // clocks that jump or keep another pace
mod disk; // full, frozen and wiped disks
mod failpoints; // a node that fails at a place in its code
mod fsync; // crashes and errors exactly at an fsync
mod group; // groups of processes with limits
mod kill; // crashes, alone and together
mod members; // nodes that come and go
mod memory; // too little memory
mod network; // partitions and bad weather
mod pause; // processes that stand still
mod rolling; // one restart after the other
mod slow; // a node with little of a processor
mod snapshot; // transfers of snapshots that break off
mod storm; // everything at once
mod upgrade; // another plugin while nodes fall

use crate::scenario::Scenario;

/// Every scenario, in the order in which they are played.
pub const ALL: &[Scenario] = &[
    kill::LEADER,
    kill::EVERYONE,
    pause::LEADER,
    network::PARTITION,
    network::ONE_WAY,
    network::BRIDGE,
    network::FLAPPING,
    network::WEATHER,
    fsync::BEFORE,
    fsync::AFTER,
    fsync::FIRST_START,
    fsync::ERROR,
    disk::FULL_FOLLOWER,
    disk::FULL_LEADER,
    disk::FROZEN,
    disk::WIPED,
    clock::JUMP,
    clock::PACE,
    memory::LIMIT,
    slow::PROCESSOR,
    rolling::RESTART,
    members::CHURN,
    snapshot::INTERRUPTED,
    upgrade::UNDER_KILLS,
    upgrade::WHILE_RESTARTING,
    storm::STORM,
    failpoints::FAILPOINTS,
];

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_different() {
        let mut names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        let plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        assert!(
            names
                .iter()
                .all(|name| !name.is_empty() && name.chars().all(plain))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
