use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_trace_without_events_is_an_error_and_help_is_not() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty.ndjson");
    fs::write(&empty, "").expect("a file for the test");
    let run = |word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coracle-trace"));
        command.arg(word).output().expect("the program runs")
    };

    let judged = run(&empty.to_string_lossy());
    assert_eq!(judged.status.code(), Some(1));
    let said = String::from_utf8_lossy(&judged.stderr).into_owned();
    assert!(
        said.contains("0 events: there is nothing to judge"),
        "{said}"
    );

    let helped = run("--help");
    assert_eq!(helped.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&helped.stdout).contains("examples:"));
    assert_eq!(run("--what").status.code(), Some(2));
}
