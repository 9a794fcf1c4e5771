//! What README shows is what happens.

use std::path::PathBuf;

use coracle_it::{Cluster, binary, eventually, plugin};

fn readme() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).unwrap()
}

/// The lines of the first block after `heading` that is fenced as `language`.
fn block(heading: &str, language: &str) -> Vec<String> {
    let readme = readme();
    let after = readme
        .split_once(heading)
        .expect("README has this heading")
        .1;
    let fence = format!("```{language}\n");
    let block = after.split_once(&fence).expect("a block follows").1;
    let block = block.split_once("```").expect("the block ends").0;
    block.lines().map(str::to_owned).collect()
}

#[test]
fn the_lines_of_the_demo_work() {
    let cluster = Cluster::init(1);
    let v2 = plugin("kv-v2");
    let lines: Vec<String> = block("In the demo:", "text")
        .iter()
        .map(|line| line.trim_start_matches("> "))
        .map(|line| line.replace("target/plugins/kv-v2.wasm", v2.to_str().unwrap()))
        .collect();
    assert!(lines.len() > 5, "{lines:?}");
    let script = cluster.folder().join("script");
    std::fs::write(&script, lines.join("\n")).unwrap();

    let output = std::process::Command::new(binary())
        .args(["demo", "--plugin"])
        .arg(plugin("kv"))
        .arg("--exec")
        .arg(&script)
        .output()
        .unwrap();

    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_lines_of_the_cluster_work_and_print_what_is_shown() {
    let lines = block("## A cluster of real processes", "console");
    // `init` and `start` with the ports of this test instead of the default ones.
    let cluster = Cluster::start(3);
    let mut checked = 0;
    let mut shown = lines.iter().peekable();
    while let Some(line) = shown.next() {
        let Some(command) = line.strip_prefix("$ coracle ") else {
            continue;
        };
        let mut expected = Vec::new();
        while let Some(line) = shown.next_if(|line| !line.starts_with('$')) {
            expected.push(line.as_str());
        }
        if command.starts_with("init") || command.starts_with("start") {
            continue;
        }
        let words: Vec<String> = command.split(' ').map(with_plugin).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = cluster.coracle_ok(&words);
        if !expected.is_empty() {
            assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{command}");
        }
        checked += 1;
    }
    assert!(checked >= 4, "{lines:?}");
    eventually("all nodes to agree", || {
        cluster.fsm_status(3, "kv").map(drop)
    });
}

fn with_plugin(word: &str) -> String {
    match word
        .strip_prefix("target/plugins/")
        .and_then(|file| file.strip_suffix(".wasm"))
    {
        Some(name) => plugin(name).to_str().unwrap().to_owned(),
        None => word.to_owned(),
    }
}
