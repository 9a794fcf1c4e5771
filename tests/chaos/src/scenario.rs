//! A scenario: what is done to a cluster while clients use it.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::Mix;
use crate::run::Run;
use crate::tool::Tool;

/// One of them. Its faults are drawn from the seed of the run.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Without these it is skipped.
    pub needs: &'static [Tool],
    /// Nodes in the beginning.
    pub nodes: u64,
    /// Nodes that may be there in the end, at most.
    pub nodes_at_most: u64,
    /// Lines added to every node's configuration, under `[snapshot]` or other tables that
    /// [`cluster`](crate::cluster) does not have.
    pub settings: &'static str,
    /// What clients do.
    pub mix: Mix,
    /// Whether packets go over the relay.
    pub relayed: bool,
    /// Time for its faults in the short form, at most.
    pub bound: Duration,
    /// Time in the long form.
    pub bound_all: Duration,
    /// Before the nodes are started.
    pub prepare: fn(&mut Run) -> Result<(), Failure>,
    /// The faults.
    pub faults: fn(&mut Run) -> Result<(), Failure>,
}

/// What most scenarios are.
pub(crate) const USUAL: Scenario = Scenario {
    name: "",
    about: "",
    needs: &[],
    nodes: 3,
    nodes_at_most: 3,
    settings: SMALL_TAIL,
    mix: Mix {
        lease_reads: true,
        padding: 0,
    },
    relayed: false,
    bound: Duration::from_secs(120),
    bound_all: Duration::from_secs(900),
    prepare: |_| Ok(()),
    faults: |_| Ok(()),
};

/// Small enough that checkpoints, compaction and snapshots to those who were away take part.
pub(crate) const SMALL_TAIL: &str = "
[snapshot]
entries = 400
retained_entries = 100

[storage]
ballast_bytes = 1048576
low_water_bytes = 8388608
";
