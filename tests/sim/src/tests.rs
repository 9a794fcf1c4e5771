//! Seeds that are always run.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Storage;
use crate::{Plan, Summary, Tape, record, replay, run};

/// Seeds of the first test, in two halves that run side by side.
const SEEDS: u64 = 200;

/// How often the seeds of one half must reach each thing that they are for.
const ENOUGH: u64 = 5;

/// Seeds that are run twice.
const TWICE: u64 = 20;

/// Seeds whose events are judged by the specification.
const JUDGED: u64 = 30;

#[test]
fn even_seeds_keep_every_invariant() {
    sweep((0..SEEDS).step_by(2));
}

#[test]
fn odd_seeds_keep_every_invariant() {
    sweep((1..SEEDS).step_by(2));
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 1000..1000 + TWICE {
        assert_eq!(attempt(seed), attempt(seed), "seed {seed}");
    }
}

#[test]
fn seeds_differ_and_both_logs_are_used() {
    let plans: Vec<_> = (0..SEEDS).map(Plan::of).collect();
    let redb = plans.iter().filter(|plan| plan.storage == Storage::Redb);
    let redb = redb.count() as u64;
    assert!(
        redb > SEEDS / 8 && redb < SEEDS / 2,
        "{redb} seeds use redb"
    );
    assert_ne!(attempt(2000).digest, attempt(2001).digest);
}

/// Runs these seeds, and makes sure that they reach what they are for.
fn sweep(seeds: impl Iterator<Item = u64>) {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for seed in seeds {
        let summary = attempt(seed);
        for (what, count) in summary.counts.into_iter().chain(summary.faults) {
            *counts.entry(what).or_default() += count;
        }
    }
    for what in [
        "checkpoints",
        "disk faults",
        "elections",
        "evictions",
        "kills",
        "leaders hunted",
        "cut",
        "members changed",
        "pause",
        "power cuts",
        "replicas removed",
        "snapshots installed",
        "transfers",
    ] {
        let count = counts.get(what).copied().unwrap_or(0);
        assert!(count >= ENOUGH, "only {count} {what}: {counts:?}");
    }
}

fn attempt(seed: u64) -> Summary {
    match run(Plan::of(seed), false) {
        Ok(summary) => summary,
        Err(violation) => {
            panic!("seed {seed}: {violation}; replay: coracle-sim --seed {seed} --trace")
        }
    }
}

/// Kinds of fault that a run may hold.
const KINDS: [&str; 37] = [
    "bit flip at rest",
    "bit flip in a snapshot",
    "bit flip on read",
    "bridge",
    "clock drift",
    "clock jump",
    "clog",
    "cut",
    "cut one way",
    "export",
    "false alarm",
    "flap",
    "full disk",
    "hung disk",
    "hunt",
    "kill",
    "leader forgotten",
    "low space",
    "lying sync",
    "lying sync of snapshots",
    "member change",
    "misdirected write",
    "needless election",
    "pause",
    "power cut",
    "power cut in an operation",
    "priority",
    "read error",
    "reset",
    "restore",
    "ring",
    "slow disk",
    "sync error",
    "transfer",
    "upgrade",
    "wiped disk",
    "write error",
];

/// Seeds in which each kind must make a difference.
const DIFFERENT: u64 = 200;

/// A fault that does nothing would go unnoticed: it is counted as it is drawn. A calendar alone is
/// not among them; the state machine does not look at it.
#[test]
fn a_run_without_one_of_its_kinds_of_fault_is_another_run() {
    let mut waiting = BTreeSet::from(KINDS);
    for seed in 6000..6000 + DIFFERENT {
        let (outcome, tape) = record(Plan::of(seed), false);
        let Ok(whole) = outcome else { continue };
        let kinds: BTreeSet<_> = tape.attacks.iter().map(|(_, it)| it.name()).collect();
        for kind in kinds {
            if waiting.contains(kind) && differs(&whole, &tape, kind) {
                waiting.remove(kind);
            }
        }
        if waiting.is_empty() {
            return;
        }
    }
    panic!("no difference without {waiting:?}");
}

fn differs(whole: &Summary, tape: &Tape, kind: &str) -> bool {
    let mut without = tape.clone();
    without.attacks.retain(|(_, attack)| attack.name() != kind);
    let numbers = |it: &Summary| (it.delivered, it.commits, it.operations, it.counts.clone());
    replay(&without, false).is_ok_and(|rest| numbers(&rest) != numbers(whole))
}

/// Runs that failed once: they never do again, and are the same every time.
#[test]
fn the_corpus_keeps_every_invariant() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tapes = paths.filter(|path| path.extension().is_some_and(|it| it == "tape"));
    for path in tapes {
        let text = std::fs::read_to_string(&path).unwrap();
        let tape = Tape::parse(&text).unwrap();
        let first = replay(&tape, false);
        assert!(first.is_ok(), "{}: {first:?}", path.display());
        assert_eq!(first, replay(&tape, false), "{}", path.display());
    }
}

/// What the nodes do is a behaviour of an abstract Raft that shares no code with the core.
#[test]
fn every_event_of_a_run_is_explained_by_the_specification() {
    for seed in 3000..3000 + JUDGED {
        let (outcome, lines) = crate::witness(Plan::of(seed));
        outcome.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        let events = coracle_spec::read(lines.as_bytes()).expect("lines of events");
        let verdict = coracle_spec::validate(events.clone());
        let report = verdict.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert!(report.committed > 0, "seed {seed}: {report}");
        // Without a common clock the same events are judged from the order at each node alone.
        let merged = coracle_spec::validate_merged(events);
        assert_eq!(merged, Ok(report), "seed {seed}");
    }
}
