//! Real faults on real processes.

use std::path::Path;
use std::process::Command;

use crate::{
    demo::build_programs,
    plugins,
    runs::{Failure, step},
    seed::fresh_seed,
    workspace::target_folder,
};

/// What `test` plays, in two to three minutes: kills, pauses, a cut, weather, crashes at an fsync, lost
/// and full disks, changes of members and an upgrade. Clocks, memory, failing fsyncs, disks that stand
/// still, restarts and interrupted snapshots are left to `chaos`.
const SHORT: &[&str] = &[
    "kill-leader",
    "kill-everyone",
    "pause",
    "one-way",
    "weather",
    "crash-at-first-start",
    "crash-before-fsync",
    "full-follower",
    "wiped-disk",
    "churn",
    "upgrade",
];

/// `chaos ARGS`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plugins = plugins::build()?;
    let programs = build_programs(&["coracle", "coracle-chaos"], false)?;
    let mut chaos = command(&plugins, &programs)?;
    step("playing with real processes", chaos.args(arguments))
}

/// A short selection, with seeds of this commit.
pub(crate) fn short(plugins: &Path, programs: &Path) -> Result<(), Failure> {
    let mut chaos = command(plugins, programs)?;
    for name in SHORT {
        chaos.args(["--scenario", name]);
    }
    chaos.args(["--traces", "--seed", &fresh_seed().to_string()]);
    step("playing a few scenarios with real processes", &mut chaos)
}

fn command(plugins: &Path, programs: &Path) -> Result<Command, Failure> {
    let mut chaos = Command::new(programs.join("coracle-chaos"));
    chaos.env("CORACLE_PLUGINS", plugins);
    chaos.arg("--reports").arg(target_folder()?.join("chaos"));
    Ok(chaos)
}
