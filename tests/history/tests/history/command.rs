use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coracle_history::{History, Outcome};

use crate::build::{Build, put, read, value};

fn coracle_check(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle-check"));
    command
        .args(arguments)
        .arg(path)
        .output()
        .expect("the program runs")
}

/// A report folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("run-1")).expect("a folder for the test");
    folder
}

fn save(path: PathBuf, read_value: &str) {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.query(2, (20, 30), read(), 1, value(read_value));
    let history: History = it.history();
    let mut file = File::create(path).expect("a file for the test");
    history.write(&mut file).expect("a file for the test");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_history_of_a_report_folder_is_checked() {
    let folder = folder("folder");
    save(folder.join("history.ndjson"), "v1");
    save(folder.join("run-1/kill.history.ndjson"), "v2");
    fs::write(folder.join("notes.txt"), "nothing for us").unwrap();

    let output = coracle_check(&[], &folder);

    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stdout);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("history.ndjson: ok: 2 operations"),
        "{text}"
    );
    assert!(lines[1].contains("VIOLATION value: "), "{text}");
}

#[test]
fn json_is_one_object_a_file_with_report_violation_or_error() {
    let folder = folder("json");
    let path = folder.join("history.ndjson");
    let look = || {
        let output = coracle_check(&["-o", "json"], &path);
        let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), parsed)
    };

    save(path.clone(), "v1");
    let (code, said) = look();
    assert_eq!((code, &said["report"]["operations"]), (Some(0), &2.into()));
    save(path.clone(), "v2");
    let (code, said) = look();
    assert_eq!(
        (code, &said["violation"]["rule"]),
        (Some(1), &"value".into())
    );
    fs::write(&path, "{}").unwrap();
    let (code, said) = look();
    assert_eq!(code, Some(1));
    assert!(
        said["error"].as_str().unwrap().starts_with("line 1: "),
        "{said}"
    );
}

#[test]
fn a_history_of_no_operation_is_an_error() {
    let folder = folder("header");
    let path = folder.join("history.ndjson");
    let mut file = File::create(&path).unwrap();
    History::default().write(&mut file).unwrap();

    let output = coracle_check(&[], &path);

    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("0 operations: there is nothing"), "{said}");
}

#[test]
fn wrong_usage_and_missing_files_are_told_apart() {
    let folder = folder("empty");
    assert_eq!(coracle_check(&["--what"], &folder).status.code(), Some(2));
    let nothing = coracle_check(&[], &folder);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("has no file that ends in history.ndjson"));
    assert_eq!(coracle_check(&["--help"], &folder).status.code(), Some(0));
}
