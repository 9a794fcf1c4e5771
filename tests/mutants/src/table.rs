//! The list of mutants in the docs is that of the code.

use std::fmt::Write;
use std::path::PathBuf;

use coracle_switch::{Area, Mutant};

use crate::search::Search;

const BEGIN: &str = "<!-- mutants -->\n";
const END: &str = "<!-- end of mutants -->\n";

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
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/mutants.md");
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
