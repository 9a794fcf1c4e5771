//! Runs other programs, and says in one line what for.

use std::{fmt, io, process::Command};

/// Why a verb did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are wrong.
    Usage(String),
    /// A program ran and failed.
    Failed { what: String },
    /// A program has said what is wrong with the arguments that were meant for it.
    Refused { what: String },
    /// A program is not there; `install` is the command that brings it.
    Missing { program: String, install: String },
    /// Anything else.
    Other(String),
}

impl Failure {
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::Other(format!("cannot {what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Other(why) => f.write_str(why),
            Self::Failed { what } | Self::Refused { what } => write!(f, "failed: {what}"),
            Self::Missing { program, install } => {
                write!(f, "{program} is missing; install it with `{install}`")
            }
        }
    }
}

/// How the project's programs end when their arguments make no sense.
pub(crate) const USAGE_CODE: i32 = 2;

/// Tells the person at the terminal. stdout stays free for the program that a verb ends in.
#[expect(clippy::print_stderr, reason = "a command for people")]
pub(crate) fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// Runs `command` to its end, saying what for.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<(), Failure> {
    say(what);
    let status = command
        .status()
        .map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(());
    }
    let what = format!("{what} ({})", shown(command));
    Err(match status.code() {
        Some(USAGE_CODE) => Failure::Refused { what },
        _ => Failure::Failed { what },
    })
}

/// What `command` prints, without showing it.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .output()
        .map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        return Err(Failure::Other(format!(
            "{} failed: {}",
            shown(command),
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() != io::ErrorKind::NotFound {
        return Failure::io(format_args!("run {program}"), error);
    }
    let install = match program.as_str() {
        "rustup" => "apt-get install rustup",
        "c++" => "apt-get install g++",
        "cargo-deny" => "cargo install --locked cargo-deny",
        _ => "rustup toolchain install",
    };
    Failure::Missing {
        program,
        install: install.to_owned(),
    }
}

fn shown(command: &Command) -> String {
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let words: Vec<String> = std::iter::once(name)
        .chain(arguments.map(Into::into))
        .collect();
    words.join(" ")
}
