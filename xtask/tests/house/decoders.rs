//! Every decoder has a fuzz target (docs/testing.md, Fuzzing).

use std::collections::BTreeSet;
use std::fs;

use crate::files::{files, none};

/// Sources that read what others wrote.
const READERS: &[&str] = &["host/", "guest-sdk/", "proto/src/"];

/// What a decoder is known by.
const MARKS: &[&str] = &[
    "postcard::from_bytes",
    "take_from_bytes",
    "serde_json::from_",
    "toml::from_str",
    "parse::<Table>",
    "FromStr for ",
    "fn decode(",
];

const TARGETS: &str = "tests/fuzz/tests/fuzz/";

/// What stands between backticks in the rows of the table.
fn table() -> BTreeSet<String> {
    let text = fs::read_to_string(crate::root().join("docs/testing.md")).expect("docs");
    let section = text.split("\n## ").find(|it| it.starts_with("Fuzzing\n"));
    let rows = section.expect("a section about fuzzing").lines();
    let rows = rows.filter(|line| line.starts_with('|'));
    let spans = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    spans.map(str::to_owned).collect()
}

/// The targets there are, as `part::name`.
fn targets() -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    for file in files(&[".rs"]) {
        let Some(part) = file.path.strip_prefix(TARGETS) else {
            continue;
        };
        let part = part.trim_end_matches(".rs");
        let mut name = "";
        for line in file.text.lines() {
            if let Some(rest) = line.strip_prefix("fn ") {
                name = rest.split('(').next().unwrap_or(rest);
            } else if line.starts_with("    fuzz!(") {
                targets.insert(format!("{part}::{name}"));
            }
        }
    }
    targets
}

#[test]
fn the_table_of_fuzz_targets_names_them_all_and_no_others() {
    let named: BTreeSet<String> = table()
        .into_iter()
        .filter(|span| span.contains("::"))
        .collect();
    let targets = targets();
    assert!(!targets.is_empty(), "there are targets");
    let missing = targets.difference(&named);
    let missing = missing.map(|it| format!("docs/testing.md does not name the target {it}"));
    let gone = named.difference(&targets);
    let gone = gone.map(|it| format!("docs/testing.md names {it}, which is no target"));
    none(missing.chain(gone).collect());
}

#[test]
fn every_decoder_is_in_the_table_of_fuzz_targets() {
    let table = table();
    let readers = files(&[".rs"]).into_iter().filter(|file| {
        let inside = READERS.iter().any(|reader| file.path.starts_with(reader));
        let tests = file.path.ends_with("tests.rs") || file.path.contains("/tests/");
        inside && file.path.contains("/src/") && !tests
    });
    let unlisted = readers.filter(|file| {
        let product = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let decodes = MARKS.iter().any(|mark| product.contains(mark));
        decodes && !table.contains(&file.path)
    });
    none(
        unlisted
            .map(|file| format!("{}: decodes; write a fuzz target, list it", file.path))
            .collect(),
    );
}
