//! What the program says.

use std::fmt;
use std::io::Write;

/// Names the commit that is run, if whoever started this knows it.
const COMMIT: &str = "CORACLE_COMMIT";

/// A line of data. A reader that went away is no reason to fail.
pub(crate) fn data(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line for people.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What is wrong, and with which commit.
pub(crate) fn failed(line: &str) {
    match std::env::var(COMMIT) {
        Ok(commit) if !commit.is_empty() => say(format_args!("FAILED {line} (at commit {commit})")),
        _ => say(format_args!("FAILED {line}")),
    }
}
