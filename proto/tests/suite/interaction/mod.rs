//! The interaction vectors of etcd-raft, by meaning.
//!
//! Every command of every file is run on real cores. Of the transcripts three kinds of block are
//! compared line by line after normalising (`raft-state`, `raft-log`, `status`), further the errors
//! of proposals, and what the last lines about a node say of its role, term and configuration. After
//! every command the invariants are checked, and after the last one the cluster is let go and has to
//! agree on one log. What is different on purpose is in
//! [`differences`], block by block: nothing else may differ.
//!
//! The folder comes from `CORACLE_VECTORS`; without it the test says that it was skipped.

pub(crate) mod blocks;
pub(crate) mod change;
mod commands;
mod differences;
mod invariants;
mod liveness;
mod node;
mod page;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use coracle_proto::{Index, NodeId, ReplicaId};

use self::commands::Output;
use self::differences::Difference;
use self::world::World;
use crate::datadriven::{self, Block};
use crate::script;

/// The replica of a node that was born with the configuration of this index.
pub(crate) fn born(node: u64, born: Index) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born,
    }
}

#[test]
fn the_interaction_vectors_are_reproduced_by_meaning() {
    let Some(folder) = std::env::var_os("CORACLE_VECTORS") else {
        println!("skipped: CORACLE_VECTORS is not set");
        return;
    };
    let mut wrong = Vec::new();
    for file in script::files(&Path::new(&folder).join("interaction")) {
        let outcome = check(&file);
        let known = match page::is_known(&outcome.name) {
            true => "",
            false => " (not in docs/vectors.md)",
        };
        println!("{}: {}{known}", outcome.name, outcome.summary());
        wrong.extend(outcome.wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What came of one file.
struct Outcome {
    name: String,
    commands: usize,
    compared: usize,
    different: usize,
    wrong: Vec<String>,
}

impl Outcome {
    fn summary(&self) -> String {
        format!(
            "{} commands, {} blocks compared, {} different on purpose, {} wrong",
            self.commands,
            self.compared,
            self.different,
            self.wrong.len()
        )
    }
}

fn takes_input(command: &str) -> bool {
    command.starts_with("propose-conf-change")
}

fn check(path: &Path) -> Outcome {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let mut outcome = Outcome {
        name: name.unwrap_or_default().into_owned(),
        commands: 0,
        compared: 0,
        different: 0,
        wrong: Vec::new(),
    };
    match datadriven::read(path, takes_input) {
        Ok(blocks) => run(&blocks, &path.display().to_string(), &mut outcome),
        Err(error) => outcome.wrong.push(error),
    }
    outcome
}

fn run(blocks: &[Block], path: &str, outcome: &mut Outcome) {
    let mut world = World::default();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table = differences::of(&outcome.name);
    for block in blocks {
        let at = format!("{path}:{}: {}", block.line, block.command());
        let nth = seen.entry(block.command()).or_default();
        *nth += 1;
        let mut last = Output::Done;
        for step in &block.steps {
            outcome.commands += 1;
            match commands::run(&mut world, step) {
                Ok(output) => last = output,
                Err(error) => {
                    outcome.wrong.push(format!("{at}\n{error}"));
                    return;
                }
            }
        }
        for (theirs, ours) in comparisons(&world, block, last) {
            outcome.compared += 1;
            let listed = table
                .iter()
                .position(|d| (d.command, d.nth) == (block.command(), *nth) && theirs != ours);
            match listed.map(|at| table.remove(at)) {
                Some(difference) => {
                    outcome.different += 1;
                    outcome
                        .wrong
                        .extend(unlike(&at, &lines(difference.instead), &ours));
                }
                None => outcome.wrong.extend(unlike(&at, &theirs, &ours)),
            }
        }
    }
    if let Err(error) = liveness::settle(&mut world) {
        outcome.wrong.push(format!("{path}: {error}"));
    }
    for Difference { command, nth, .. } in table {
        let error = format!("{path}: {command} ({nth}) is listed as different but is not");
        outcome.wrong.push(error);
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

fn unlike(at: &str, expected: &[String], found: &[String]) -> Option<String> {
    (expected != found).then(|| {
        let (expected, found) = (expected.join("\n  "), found.join("\n  "));
        format!("{at}\nexpected:\n  {expected}\nfound:\n  {found}")
    })
}

/// Pairs of what the file says and what is, both normalised.
fn comparisons(world: &World, block: &Block, output: Output) -> Vec<(Vec<String>, Vec<String>)> {
    let theirs = block.expected.clone();
    let mut pairs = Vec::new();
    match output {
        Output::RaftState(ours) | Output::RaftLog(ours) if !block.is_quiet() => {
            pairs.push((theirs, ours));
        }
        Output::Status(ours) if !block.is_quiet() || ours == ["ok"] => {
            let normalise = |lines: Vec<String>| -> Vec<String> {
                lines
                    .iter()
                    .map(|line| blocks::normalise_status(line))
                    .collect()
            };
            pairs.push((normalise(theirs), normalise(ours)));
        }
        Output::Done | Output::Error(_) => {
            let error = |line: &&String| line.as_str() == world::DROPPED;
            let said: Vec<_> = theirs.iter().filter(error).cloned().collect();
            let ours = match output {
                Output::Error(error) => vec![error.to_owned()],
                _ => Vec::new(),
            };
            if !(said.is_empty() && ours.is_empty()) {
                pairs.push((said, ours));
            }
            let announced = blocks::compare_announced(world, &theirs);
            if !announced.0.is_empty() {
                pairs.push(announced);
            }
        }
        _ => {}
    }
    pairs
}
