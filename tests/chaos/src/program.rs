//! Runs the tools of the system: one place for their errors.

use std::process::{Command, Stdio};

use crate::failure::Failure;

/// Lines of a program's stderr that are kept when it fails.
const REASON_LINES: usize = 3;

/// Runs it to its end; answers what it printed.
///
/// # Errors
/// If it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = format!("{command:?}");
    let run = command.stdin(Stdio::null()).output();
    let output = run.map_err(|error| Failure::harness(format!("run {shown}"), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // The reason comes last; before it may be pages of progress.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = stderr.lines().rev().take(REASON_LINES).collect();
    last.reverse();
    Err(Failure::harness(
        format!("run {shown}"),
        format!("{}: {}", output.status, last.join("; ")),
    ))
}

/// Runs a line of words without spaces in them.
pub(crate) fn line(text: &str) -> Result<String, Failure> {
    let mut words = text.split_whitespace();
    let program = words.next().unwrap_or("true");
    output(Command::new(program).args(words))
}
