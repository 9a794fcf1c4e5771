//! xtask in the place of rustc: our crates, and those that read bytes for them, are compiled so
//! that an engine sees which code a tape reaches.
//!
//! Cargo has one set of flags for all crates. But a counter at every edge of the compiler of guests
//! would make each tape slow, and what it reaches there says nothing about our decoders.

use std::process::{Command, ExitCode};

/// Set in the environment of a build that is to be watched: cargo then runs xtask for rustc.
pub(crate) const WATCHED: &str = "CORACLE_COVERAGE";

/// The name under which bolero knows the engine; only crates for the target have it.
pub(crate) const ENGINE: &str = "fuzzing_libfuzzer";

/// Counters at edges and tables of them, and comparisons, from which the engine learns what to
/// put into a tape.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Crates of others that read what a tape says.
const READERS: [&str; 26] = [
    "asn1_rs",
    "axum",
    "axum_core",
    "data_encoding",
    "der_parser",
    "form_urlencoded",
    "http",
    "httparse",
    "humantime",
    "hyper",
    "lz4_flex",
    "matchit",
    "nom",
    "pem",
    "percent_encoding",
    "postcard",
    "rcgen",
    "redb",
    "serde_core",
    "serde_json",
    "serde_urlencoded",
    "toml",
    "toml_parser",
    "wasmparser",
    "winnow",
    "x509_parser",
];

/// If cargo runs this for rustc: what became of it.
pub(crate) fn as_rustc(arguments: &[String]) -> Option<ExitCode> {
    std::env::var_os(WATCHED)?;
    let (rustc, arguments) = arguments.split_first()?;
    let mut command = Command::new(rustc);
    command.args(arguments);
    if is_watched(arguments) {
        command.args(FLAGS);
    }
    let code = command.status().ok().and_then(|status| status.code());
    Some(ExitCode::from(code.map_or(1, |code| code as u8)))
}

fn is_watched(arguments: &[String]) -> bool {
    let name = arguments.iter().skip_while(|word| *word != "--crate-name");
    let name = name.skip(1).map(String::as_str).next().unwrap_or_default();
    let ours = name == "coracle" || name.starts_with("coracle_") || name == "fuzz";
    arguments.iter().any(|word| word == ENGINE) && (ours || READERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiles(line: &str) -> bool {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        is_watched(&words)
    }

    #[test]
    fn our_crates_and_readers_are_watched_where_the_engine_is() {
        assert!(compiles(
            "--crate-name coracle_log src/lib.rs --cfg fuzzing_libfuzzer"
        ));
        assert!(compiles(
            "--crate-name postcard src/lib.rs --cfg fuzzing_libfuzzer"
        ));
        assert!(!compiles(
            "--crate-name cranelift_codegen --cfg fuzzing_libfuzzer"
        ));
        assert!(!compiles("--crate-name coracle_log src/lib.rs"), "a host's");
        assert!(!compiles("-vV"));
    }
}
