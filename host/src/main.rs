//! The one binary: node and command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    coracle::cli::main()
}
