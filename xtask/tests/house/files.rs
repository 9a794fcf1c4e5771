//! What every file must be (DESIGN §10).

use std::{fs, path::Path};

/// Lines of a source file.
const MAX_LINES: usize = 800;

/// Spelled apart, so that this file keeps its own rules.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("db", "g!("),
];

/// Types of these never leave their crate, so none is exported again.
const KEPT: &[&str] = &["redb", "quinn", "wasmtime"];

/// Module names that say nothing.
const VAGUE: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "misc",
];

pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The files with one of these endings.
pub(crate) fn files(endings: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    collect(crate::root(), endings, &mut files);
    assert!(!files.is_empty(), "no file ends in {endings:?}");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Without git, so that it works on an unpacked archive too.
fn collect(folder: &Path, endings: &[&str], files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let entry = entry.expect("an entry of the workspace");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        let path = entry.path();
        if entry.file_type().expect("a type").is_dir() {
            collect(&path, endings, files);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let inside = path
                .strip_prefix(crate::root())
                .expect("inside the workspace");
            files.push(File {
                path: inside.to_string_lossy().into_owned(),
                text: fs::read_to_string(&path).expect("sources are UTF-8"),
            });
        }
    }
}

/// Fails with all of them, each as `path:line: what`.
pub(crate) fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Each line of each file for which `rule` says what is wrong with it.
fn lines(files: &[File], rule: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let check = |file: &File| {
        let lines = file.text.lines().enumerate();
        let broken = lines.filter_map(|(at, line)| {
            rule(line).map(|what| format!("{}:{}: {what}", file.path, at + 1))
        });
        broken.collect::<Vec<_>>()
    };
    files.iter().flat_map(check).collect()
}

#[test]
fn sources_are_at_most_800_lines() {
    let long = files(&[".rs"]).into_iter().filter_map(|file| {
        let count = file.text.lines().count();
        (count > MAX_LINES).then(|| format!("{}: {count} lines, split it", file.path))
    });
    none(long.collect());
}

#[test]
fn nothing_is_left_unfinished() {
    none(lines(&files(&[".rs", ".toml", ".wit"]), |line| {
        let word = UNFINISHED.iter().find(|word| line.contains(*word))?;
        Some(format!("{word}: do it now, or file an issue"))
    }));
}

#[test]
fn sources_are_ascii() {
    none(lines(&files(&[".rs", ".toml", ".wit"]), |line| {
        let letter = line.chars().find(|letter| !letter.is_ascii())?;
        // Comments cite sections of the design.
        (!"\u{a7}\u{2026}\u{2013}\u{2192}\u{d7}".contains(letter))
            .then(|| format!("has `{letter}`"))
    }));
}

#[test]
fn every_module_says_what_it_is() {
    // The tests of a module are told by the module.
    let is_test = |file: &File| file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    let sources = files(&[".rs"]).into_iter().filter(|file| !is_test(file));
    let silent = sources.filter(|file| {
        let first = file.text.lines().find(|line| !line.is_empty());
        !first.is_some_and(|line| line.starts_with("//!"))
    });
    none(
        silent
            .map(|file| format!("{}: begin it with a `//!` line", file.path))
            .collect(),
    );
}

#[test]
fn no_file_is_named_for_nothing() {
    let vague = files(&[".rs"]).into_iter().filter(|file| {
        let mut names = file.path.trim_end_matches(".rs").split('/');
        names.any(|name| VAGUE.contains(&name))
    });
    none(
        vague
            .map(|file| format!("{}: name it after what it holds", file.path))
            .collect(),
    );
}

#[test]
fn kept_types_are_not_exported_again() {
    none(lines(&files(&[".rs"]), |line| {
        let exported = line.trim_start().strip_prefix("pub use ")?;
        let kept = KEPT
            .iter()
            .find(|kept| exported.starts_with(&format!("{kept}::")))?;
        Some(format!("types of {kept} stay in their crate"))
    }));
}

#[test]
fn paths_named_in_the_docs_exist() {
    none(lines(&files(&[".md"]), |line| {
        let quoted = line.split('`').skip(1).step_by(2);
        let missing = quoted.filter(|text| is_path(text)).find(|path| {
            let path = path.trim_end_matches('/');
            !crate::root().join(path).exists()
        })?;
        Some(format!("`{missing}` does not exist"))
    }));
}

/// Whether it is meant as a path of this repository: it begins with one of its folders.
fn is_path(text: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "docs/",
        "guest-sdk/",
        "host/",
        "plugins/",
        "proto/",
        "tests/",
        "wit/",
        "xtask/",
    ];
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    FOLDERS.iter().any(|folder| text.starts_with(folder))
        && text.chars().all(plain)
        && !text.ends_with(".wasm")
}

/// Words between backticks that can only be the name of a test.
fn test_names(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        span.bytes().all(letter) && span.matches('_').count() >= 2
    })
}

#[test]
fn tests_that_docs_name_exist() {
    let sources = files(&[".rs"]);
    let known = |name: &str| {
        let declared = format!("fn {name}(");
        sources.iter().any(|file| file.text.contains(&declared))
    };
    let unknown = |line: &str| {
        let missing = test_names(line).find(|name| !known(name));
        missing.map(|name| format!("there is no `fn {name}(`"))
    };
    let compare = files(&["compare.md"]);
    none(lines(&compare, unknown));
}
