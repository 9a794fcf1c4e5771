//! The contract's golden files against the host and the Rust SDK.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use coracle_runtime::{
    Engine, EngineOptions, Environment, FailureClass, Fault, Instance, Limits, STACK_BYTES,
    check_outcomes, count_commands,
};
use sha2::{Digest as _, Sha256};

/// The component must stay byte for byte what was published.
const MACHINE_SHA256: &str = "499254d9b888e350b9939dca3cfe273725328524f3070027952919c182a3926b";

const ENVIRONMENT: Environment = Environment {
    index: 1,
    time: 2,
    seed: [3; 32],
};

/// Name and commands of each golden frame.
fn groups() -> [(&'static str, Vec<&'static [u8]>); 3] {
    let long: &[u8] = &[0xff; 300];
    [
        ("none", vec![]),
        ("one", vec![b"add"]),
        (
            "group",
            vec![b"add", b"no", b"\0", long, "add \u{e9}".as_bytes()],
        ),
    ]
}

#[test]
fn host_still_runs_the_component_of_contract_0_1_0() {
    let machine = golden("machine.wasm");
    let digest: String = Sha256::digest(&machine)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(digest, MACHINE_SHA256);
    on_guest_stack(move || {
        for (name, _) in groups() {
            let mut instance = start(&machine);
            let outcomes = instance.apply(&ENVIRONMENT, &golden(&format!("{name}.commands")));
            assert_eq!(
                outcomes.unwrap(),
                golden(&format!("{name}.outcomes")),
                "{name}"
            );
        }
    });
}

#[test]
fn sdk_reads_the_commands_of_golden_frames() {
    for (name, commands) in groups() {
        let frame = golden(&format!("{name}.commands"));
        let read: Vec<&[u8]> = coracle_guest::commands(&frame).unwrap().collect();
        assert_eq!(read, commands, "{name}");
    }
}

#[test]
fn host_accepts_golden_frames_and_outcomes() {
    for (name, commands) in groups() {
        let count = commands.len() as u32;
        assert_eq!(
            count_commands(&golden(&format!("{name}.commands"))).unwrap(),
            count,
            "{name}"
        );
        let outcomes = golden(&format!("{name}.outcomes"));
        check_outcomes(&outcomes, count, &Limits::default()).unwrap();
    }
}

#[test]
fn malformed_commands_are_refused_by_host_and_sdk() {
    for path in malformed("commands") {
        let frame = fs::read(&path).unwrap();
        assert!(
            matches!(count_commands(&frame), Err(Fault::Host(_))),
            "{}",
            path.display()
        );
        assert!(
            coracle_guest::commands(&frame).is_err(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn malformed_outcomes_are_a_bad_result() {
    for path in malformed("outcomes") {
        let checked = check_outcomes(&fs::read(&path).unwrap(), 2, &Limits::default());
        let bad = matches!(
            checked,
            Err(Fault::Failed {
                class: FailureClass::BadResult,
                ..
            })
        );
        assert!(bad, "{}", path.display());
    }
}

fn start(machine: &[u8]) -> Instance {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let plugin = engine.stage(machine).unwrap();
    plugin
        .start(&[], &Limits::default(), &ENVIRONMENT, None, false)
        .unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract-0.1.0")
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn malformed(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join("malformed")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    assert!(found.len() > 7, "{found:?}");
    found
}

fn on_guest_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(test)
        .unwrap();
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
