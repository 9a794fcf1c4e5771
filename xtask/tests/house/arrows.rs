//! Who may use whom (DESIGN §2).

use std::collections::BTreeMap;

use crate::metadata::{Package, packages};

/// For each package that is no plugin, which others of ours it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("coracle-proto", &["coracle-switch"]),
    ("coracle-driver", &["coracle-proto", "coracle-switch"]),
    (
        "coracle-log",
        &["coracle-driver", "coracle-proto", "coracle-switch"],
    ),
    (
        "coracle-transport",
        &["coracle-driver", "coracle-proto", "coracle-switch"],
    ),
    ("coracle-runtime", &[]),
    ("coracle-client", &[]),
    (
        "coracle",
        &[
            "coracle-client",
            "coracle-driver",
            "coracle-log",
            "coracle-proto",
            "coracle-runtime",
            "coracle-transport",
        ],
    ),
    ("coracle-guest", &[]),
    ("coracle-history", &[]),
    ("coracle-spec", &[]),
    (
        "coracle-sim",
        &[
            "coracle-driver",
            "coracle-history",
            "coracle-log",
            "coracle-proto",
            "coracle-spec",
        ],
    ),
    ("coracle-switch", &[]),
    (
        "coracle-mutants",
        &[
            "coracle-driver",
            "coracle-log",
            "coracle-proto",
            "coracle-sim",
            "coracle-switch",
            "coracle-transport",
        ],
    ),
    ("coracle-it", &["coracle-client"]),
    (
        "coracle-chaos",
        &["coracle-client", "coracle-history", "coracle-spec"],
    ),
    (
        "coracle-fuzz",
        &[
            "coracle",
            "coracle-client",
            "coracle-driver",
            "coracle-guest",
            "coracle-log",
            "coracle-proto",
            "coracle-runtime",
            "coracle-transport",
        ],
    ),
    ("coracle-conformance", &["coracle-guest", "coracle-runtime"]),
    (
        "coracle-bench",
        &[
            "coracle-client",
            "coracle-guest",
            "coracle-runtime",
            "counter",
            "kv",
        ],
    ),
    ("xtask", &[]),
];

/// What a plugin may use, and its tests besides.
const PLUGIN: &[&str] = &["coracle-guest"];
const PLUGIN_TESTS: &[&str] = &["kv"];

/// Dependencies with a type or a runtime that must not spread: only these may use them directly.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("redb", &["coracle-log"]),
    ("quinn", &["coracle-transport"]),
    ("wasmtime", &["coracle-runtime"]),
    ("wasmparser", &["coracle-runtime"]),
    ("wit-bindgen", &["coracle-guest"]),
    (
        "tokio",
        &[
            "coracle",
            "coracle-client",
            "coracle-it",
            "coracle-bench",
            "coracle-chaos",
            "coracle-fuzz",
            "coracle-mutants",
            "coracle-transport",
        ],
    ),
    ("axum", &["coracle"]),
    (
        "clap",
        &["coracle", "coracle-bench", "coracle-chaos", "coracle-sim"],
    ),
];

/// The core and the driver neither keep time, nor draw lots, nor write logs, nor run anything.
const PURE: &[&str] = &["coracle-proto", "coracle-driver"];
const IMPURE: &[&str] = &[
    "async-trait",
    "fastrand",
    "futures",
    "getrandom",
    "log",
    "rand",
    "tokio",
    "tracing",
];

fn is_plugin(package: &Package) -> bool {
    package.folder.starts_with("plugins/")
}

#[test]
fn every_package_uses_only_those_it_may() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for package in packages() {
        let allowed = match arrows.get(package.name.as_str()) {
            Some(allowed) => *allowed,
            None if is_plugin(&package) => PLUGIN,
            None => panic!("{} has no line in ARROWS", package.name),
        };
        for used in package.uses.iter().filter(|used| used.ours) {
            let in_tests = is_plugin(&package) && used.dev;
            assert!(
                allowed.contains(&used.name.as_str())
                    || in_tests && PLUGIN_TESTS.contains(&used.name.as_str()),
                "{} must not use {}",
                package.name,
                used.name
            );
        }
    }
}

#[test]
fn every_arrow_is_of_a_package_that_exists() {
    let packages = packages();
    for (name, _) in ARROWS {
        assert!(
            packages.iter().any(|package| package.name == *name),
            "no package {name}"
        );
    }
}

#[test]
fn heavy_dependencies_stay_in_their_crate() {
    for package in packages() {
        for used in &package.uses {
            if let Some((_, keepers)) = KEPT_IN.iter().find(|(kept, _)| *kept == used.name) {
                assert!(
                    keepers.contains(&package.name.as_str()),
                    "{} must not use {}, which is kept in {keepers:?}",
                    package.name,
                    used.name
                );
            }
        }
    }
}

#[test]
fn core_and_driver_stay_pure() {
    for package in packages()
        .iter()
        .filter(|package| PURE.contains(&package.name.as_str()))
    {
        for used in package.uses.iter().filter(|used| !used.dev) {
            assert!(
                !IMPURE.contains(&used.name.as_str()),
                "{} must not use {}",
                package.name,
                used.name
            );
        }
    }
}

#[test]
fn every_dependency_is_explained() {
    let page = std::fs::read_to_string(crate::root().join("docs/dependencies.md"))
        .expect("docs/dependencies.md is there");
    for package in packages() {
        for used in package.uses.iter().filter(|used| !used.ours) {
            assert!(
                page.contains(&format!("`{}`", used.name)),
                "{} uses {}, which docs/dependencies.md does not explain",
                package.name,
                used.name
            );
        }
    }
}

#[test]
fn xtask_is_compiled_without_dependencies() {
    let packages = packages();
    let xtask = packages
        .iter()
        .find(|package| package.name == "xtask")
        .expect("this one");
    assert!(xtask.uses.iter().all(|used| used.dev));
}
