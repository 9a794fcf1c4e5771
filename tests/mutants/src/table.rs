//! The list of mutants in the docs is that of the code, and what else the docs say of mutants and
//! tests of the core is so.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use coracle_switch::{Area, Mutant};

use crate::search::Search;

const BEGIN: &str = "<!-- mutants -->\n";
const END: &str = "<!-- end of mutants -->\n";

/// Bugs that other implementations had.
const BUGS: usize = 32;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn table() -> String {
    let mut out = String::new();
    let mut area: Option<Area> = None;
    for mutant in Mutant::ALL {
        if area != Some(mutant.area()) {
            area = Some(mutant.area());
            let _ = write!(out, "\n### {:?}\n\n", mutant.area());
            out += "| mutant | what is wrong | random search |\n|---|---|---|\n";
        }
        let (name, what, search) = (mutant.name(), mutant.what(), Search::of(*mutant));
        let _ = writeln!(out, "| `{name}` | {what} | {search} |");
    }
    out.push('\n');
    out
}

#[test]
fn the_docs_list_every_mutant() {
    let file = root().join("docs/mutants.md");
    let text = std::fs::read_to_string(&file).expect("docs/mutants.md");
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the list");
    let (listed, after) = rest.split_once(END).expect("the end of the list");
    if std::env::var_os("CORACLE_REWRITE").is_some() {
        let new = format!("{before}{BEGIN}{}{END}{after}", table());
        return std::fs::write(&file, new).expect("docs/mutants.md can be written");
    }
    assert_eq!(
        listed,
        table(),
        "`CORACLE_REWRITE=1 cargo test -p coracle-mutants the_docs` writes it anew"
    );
}

/// All sources below this folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the core") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text += &std::fs::read_to_string(&path).expect("a source");
        }
    }
    text
}

/// Words between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn each_bug_of_others_is_a_mutant_that_exists_or_has_a_reason_and_is_tested_in_the_core() {
    let text = std::fs::read_to_string(root().join("docs/mutants.md")).expect("docs/mutants.md");
    let (_, rest) = text.split_once("<!-- bugs -->\n").expect("the bugs");
    let (bugs, _) = rest.split_once("<!-- end of bugs -->").expect("their end");
    let tests = sources(&root().join("proto"));
    let rows: Vec<Vec<&str>> = bugs
        .lines()
        .skip(2)
        .map(|row| row.split(" | ").collect())
        .collect();
    assert_eq!(rows.len(), BUGS);
    for (number, row) in (1..).zip(rows) {
        let [first, _, mutants, tested] = row[..] else {
            panic!("four cells: {row:?}");
        };
        assert_eq!(first, format!("| {number}"));
        for name in quoted(mutants) {
            assert!(
                Mutant::named(name).is_some(),
                "{number}: no mutant `{name}`"
            );
        }
        let named = quoted(mutants).count() > 0;
        assert!(
            named || mutants.starts_with("none: "),
            "{number}: {mutants}"
        );
        for prefix in quoted(tested) {
            assert_eq!(prefix, format!("bug_{number:02}_"));
            assert!(tests.contains(&format!("fn {prefix}")), "no test {prefix}");
        }
    }
}
