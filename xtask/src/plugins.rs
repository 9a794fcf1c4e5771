//! Builds the components.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    runs::{Failure, not_started, output, say, step},
    workspace::{cargo, root, target_folder},
};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "plugin";

/// Builds every plugin and answers the folder with `NAME.wasm` for each.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    ensure_target()?;
    let names = names()?;
    let mut build = cargo(&format!("build --profile {PROFILE} --target {TARGET}"));
    for name in &names {
        build.args(["-p", name]);
    }
    step(
        &format!("building the plugins {}", names.join(", ")),
        &mut build,
    )?;
    let target = target_folder()?;
    let folder = target.join("plugins");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::io(format_args!("create {}", folder.display()), &error))?;
    for name in &names {
        let built = target
            .join(TARGET)
            .join(PROFILE)
            .join(format!("{}.wasm", name.replace('-', "_")));
        let placed = folder.join(format!("{name}.wasm"));
        place(&built, &placed)
            .map_err(|error| Failure::io(format_args!("write {}", placed.display()), &error))?;
    }
    say(&format!("the plugins are in {}", folder.display()));
    Ok(folder)
}

/// Sees to it that rustc can build for wasm.
pub(crate) fn ensure_target() -> Result<(), Failure> {
    let sysroot = output(
        Command::new("rustc")
            .current_dir(root())
            .args(["--print", "sysroot"]),
    )?;
    let installed = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib");
    if installed.is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.current_dir(root()).args(["target", "add", TARGET]);
    if let Err(error) = Command::new("rustup").arg("--version").output() {
        return Err(Failure::Other(format!(
            "the target {TARGET} is not installed, and {}; then run `rustup target add {TARGET}`",
            not_started(&add, &error)
        )));
    }
    step(&format!("installing the target {TARGET}"), &mut add)
}

/// The folders of `plugins/`, which are the names of the packages.
fn names() -> Result<Vec<String>, Failure> {
    let folder = root().join("plugins");
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    };
    read().map_err(|error| Failure::io(format_args!("list {}", folder.display()), &error))
}

/// Copies what changed, in one step, so that a test that runs meanwhile sees a whole file.
fn place(built: &Path, placed: &Path) -> io::Result<()> {
    let bytes = fs::read(built)?;
    if fs::read(placed).is_ok_and(|current| current == bytes) {
        return Ok(());
    }
    let partial = placed.with_extension("tmp");
    fs::write(&partial, bytes)?;
    fs::rename(partial, placed)
}
