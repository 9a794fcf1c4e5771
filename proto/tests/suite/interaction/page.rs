//! The page of the documentation on these vectors holds the table of differences.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::differences::{DIFFERENCES, Difference};

const BEGIN: &str = "<!-- differences: written by the test -->\n";
const END: &str = "<!-- end of differences -->\n";

#[test]
fn the_page_on_vectors_lists_every_difference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors.md");
    let text = fs::read_to_string(&page).expect("a readable page");
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table");
    let (table, after) = rest.split_once(END).expect("the end of the table");
    let expected = render(DIFFERENCES);
    if std::env::var_os("CORACLE_REWRITE").is_some() {
        let text = [before, BEGIN, &expected, END, after].concat();
        fs::write(&page, text).expect("a writable page");
    } else {
        assert_eq!(table, expected, "rewrite the table with CORACLE_REWRITE=1");
    }
}

fn render(differences: &[Difference]) -> String {
    let mut text = String::new();
    let mut file = "";
    for difference in differences {
        if difference.file != file {
            file = difference.file;
            write!(text, "\n### `{file}`\n").expect("to a string");
        }
        let (command, nth) = (difference.command, difference.nth);
        let instead: String = difference
            .instead
            .lines()
            .map(|line| format!("  {}\n", line.trim()))
            .collect();
        let reason = difference.reason;
        write!(
            text,
            "\n- `{command}` ({nth}). {reason} Instead:\n\n  ```\n{instead}  ```\n"
        )
        .expect("to a string");
    }
    text.push('\n');
    text
}
