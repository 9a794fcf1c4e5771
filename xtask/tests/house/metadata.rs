//! The packages and what they use, as cargo knows them.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace.
    pub(crate) folder: String,
    pub(crate) uses: Vec<Use>,
    /// What each of its features turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

pub(crate) struct Use {
    pub(crate) name: String,
    /// Whether it is a package of the workspace.
    pub(crate) ours: bool,
    /// Whether only tests have it.
    pub(crate) dev: bool,
    /// Whether a feature brings it.
    pub(crate) optional: bool,
    /// The features it is wanted with.
    pub(crate) features: Vec<String>,
}

/// The packages of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(crate::root())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(package: &Value) -> Package {
    let manifest = Path::new(text(&package["manifest_path"]));
    let folder = manifest.parent().expect("a manifest is in a folder");
    let folder = folder
        .strip_prefix(crate::root())
        .expect("a member is in the workspace");
    Package {
        name: text(&package["name"]).to_owned(),
        folder: folder.to_string_lossy().into_owned(),
        uses: list(&package["dependencies"])
            .iter()
            .map(|used| Use {
                name: text(&used["name"]).to_owned(),
                ours: !used["path"].is_null(),
                dev: used["kind"] == "dev",
                optional: used["optional"] == true,
                features: texts(&used["features"]),
            })
            .collect(),
        features: serde_json::from_value(package["features"].clone()).expect("features"),
    }
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|it| text(it).to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}
