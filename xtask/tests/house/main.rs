//! The rules of the house (DESIGN §2, §10), as tests.

mod arrows; // who may use whom
mod decoders; // what is fuzzed
mod features; // what only an explicit build turns on
mod files; // what every file must be
mod metadata; // the packages and what they use

use std::path::Path;

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is in the workspace")
}
