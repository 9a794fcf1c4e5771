//! Where searches begin that are to see something new with every commit.

use std::process::Command;

use crate::{runs::output, workspace::root};

/// Distance between the first seeds of two commits, at least.
const SEEDS_PER_COMMIT: u64 = 1_000_000;

/// Tells a program which commit it is of, for the line of a failure.
const COMMIT: &str = "CORACLE_COMMIT";

/// The first seed: another one for every commit, the same for all who test that commit; 0 where
/// there is no commit.
pub(crate) fn fresh_seed() -> u64 {
    let head = head().unwrap_or_default();
    let digits = head
        .get(..8)
        .and_then(|it| u64::from_str_radix(it, 16).ok());
    digits.unwrap_or(0) * SEEDS_PER_COMMIT
}

/// The program, told of the commit if there is one.
pub(crate) fn with_commit(mut program: Command) -> Command {
    if let Some(head) = head() {
        program.env(COMMIT, head.trim());
    }
    program
}

fn head() -> Option<String> {
    output(
        Command::new("git")
            .current_dir(root())
            .args(["rev-parse", "HEAD"]),
    )
    .ok()
}
