//! Where things are.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::runs::{Failure, output};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// `cargo LINE`, in the workspace. The words of the line hold no spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(line.split_whitespace());
    command
}

/// `cargo LINE`, in the workspace that holds Coracle's core beside other implementations.
pub(crate) fn peers(line: &str) -> Result<Command, Failure> {
    let mut command = cargo(line);
    command
        .current_dir(root().join("tests/peers"))
        .env("CARGO_TARGET_DIR", target_folder()?.join("peers"));
    Ok(command)
}

/// `cargo LINE`, in the workspace of the model checker.
pub(crate) fn model(line: &str) -> Result<Command, Failure> {
    let mut command = cargo(line);
    command
        .current_dir(root().join("tests/model"))
        .env("CARGO_TARGET_DIR", target_folder()?.join("model"));
    Ok(command)
}

/// Cargo's target folder, wherever its settings put it.
pub(crate) fn target_folder() -> Result<PathBuf, Failure> {
    let metadata = output(&mut cargo("metadata --no-deps --format-version 1"))?;
    json_text(&metadata, "target_directory")
        .map(PathBuf::from)
        .ok_or_else(|| Failure::Other("cargo metadata names no target_directory".into()))
}

/// The first text of that name. A path that needs escapes other than these is not one of ours.
pub(crate) fn json_text(json: &str, name: &str) -> Option<String> {
    let (_, after) = json.split_once(&format!("\"{name}\":\""))?;
    let mut text = String::new();
    let mut letters = after.chars();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_with_its_escapes() {
        let json = r#"{"a":[1],"target_directory":"/with \"quotes\"\\","b":"c"}"#;
        assert_eq!(
            json_text(json, "target_directory").as_deref(),
            Some(r#"/with "quotes"\"#)
        );
        assert_eq!(json_text(json, "missing"), None);
        assert_eq!(json_text(r#"{"a":"cut"#, "a"), None);
    }
}
