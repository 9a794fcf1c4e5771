//! Builds a node and runs its demo.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    plugins,
    runs::{Failure, not_started, say, step},
    workspace::{cargo, target_folder},
};

/// `demo [--release] [-- ARGS]`; ends in `coracle demo`, which has the terminal to itself.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (own, passed) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[][..]),
    };
    let release = match own {
        [] => false,
        [flag] if flag == "--release" => true,
        [other, ..] => {
            return Err(Failure::Usage(format!(
                "`demo` does not know `{other}`; arguments of `coracle demo` come after `--`"
            )));
        }
    };
    let plugins = plugins::build()?;
    build_node(release)?;
    let profile = if release { "release" } else { "debug" };
    let mut demo = Command::new(target_folder()?.join(profile).join("coracle"));
    demo.arg("demo")
        .arg("--plugin")
        .arg(plugins.join("kv.wasm"))
        .args(passed);
    say("starting three nodes");
    let error = demo.exec();
    Err(not_started(&demo, &error))
}

/// Builds `coracle`. With `--workspace`, its dependencies have the same features as in `test`, so
/// that nothing is compiled twice.
pub(crate) fn build_node(release: bool) -> Result<(), Failure> {
    let mut build = cargo("build");
    build.args(["--workspace", "--bin", "coracle"]);
    if release {
        build.arg("--release");
    }
    step(
        "building coracle (minutes the first time, then seconds)",
        &mut build,
    )
}
