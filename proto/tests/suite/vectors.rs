//! The quorum vectors of etcd-raft, from the folder named by `CORACLE_VECTORS` (which holds
//! `quorum/`), reproduced to the byte; skipped where the variable is not set. A few cases of our
//! own in the same format are always run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use coracle_proto::Index;
use coracle_proto::quorum::{
    VoteResult, joint_committed, joint_vote, majority_committed, majority_vote,
};

use crate::script::{self, Command};

type Id = u64;

#[test]
fn the_quorum_vectors_are_reproduced() {
    let Some(folder) = std::env::var_os("CORACLE_VECTORS") else {
        println!("skipped: CORACLE_VECTORS is not set");
        return;
    };
    for file in script::files(&Path::new(&folder).join("quorum")) {
        script::check(&file, run);
    }
}

#[test]
fn the_own_quorum_vectors_are_reproduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/quorum");
    for file in script::files(&folder) {
        script::check(&file, run);
    }
}

fn run(command: &Command<'_>) -> String {
    let incoming = ids(command.values("cfg").unwrap_or_default());
    let outgoing = command.values("cfgj").map(|values| match values {
        ["zero"] => Vec::new(),
        values => ids(values),
    });
    let all: Vec<Id> = incoming
        .iter()
        .chain(outgoing.iter().flatten())
        .copied()
        .collect();
    let incoming: BTreeSet<Id> = incoming.into_iter().collect();
    let outgoing: Option<BTreeSet<Id>> = outgoing.map(|ids| ids.into_iter().collect());
    match command.name {
        "committed" => {
            let acked = assign(&all, command.values("idx").unwrap_or_default());
            let acked: BTreeMap<Id, Index> = acked
                .into_iter()
                .map(|(id, text)| (id, text.parse().expect("an index")))
                .collect();
            let of = |id: &Id| acked.get(id).copied();
            let index = match &outgoing {
                Some(outgoing) => joint_committed(&incoming, outgoing, of),
                None => majority_committed(&incoming, of),
            };
            let voters: BTreeSet<Id> = all.into_iter().collect();
            let index = match index {
                Index::MAX => "\u{221e}".to_owned(),
                index => index.to_string(),
            };
            describe(&voters, &acked) + &index
        }
        "vote" => {
            let votes = assign(&all, command.values("votes").unwrap_or_default());
            let of = |id: &Id| votes.get(id).map(|vote| *vote == "y");
            let result = match &outgoing {
                Some(outgoing) => joint_vote(&incoming, outgoing, of),
                None => majority_vote(&incoming, of),
            };
            match result {
                VoteResult::Pending => "VotePending",
                VoteResult::Won => "VoteWon",
                VoteResult::Lost => "VoteLost",
            }
            .to_owned()
        }
        other => panic!("no such command: {other}"),
    }
}

fn ids(values: &[&str]) -> Vec<Id> {
    let parse = |value: &&str| value.parse().expect("an id");
    values.iter().map(parse).collect()
}

/// Values go to ids in the order of their first mention; `_` is none.
fn assign<'a>(ids: &[Id], values: &[&'a str]) -> BTreeMap<Id, &'a str> {
    let mut seen = BTreeSet::new();
    let distinct = ids.iter().filter(|id| seen.insert(**id));
    let assigned: Vec<_> = distinct.zip(values).collect();
    assert_eq!(assigned.len(), values.len(), "more values than ids");
    assigned
        .into_iter()
        .filter(|(_, value)| **value != "_")
        .map(|(id, value)| (*id, *value))
        .collect()
}

/// A bar per voter, the longer the more voters it is strictly ahead of.
fn describe(voters: &BTreeSet<Id>, acked: &BTreeMap<Id, Index>) -> String {
    if voters.is_empty() {
        return "<empty majority quorum>".to_owned();
    }
    let index = |id: &Id| acked.get(id).copied().unwrap_or(0);
    let width = voters.len();
    let mut chart = format!("{}    idx\n", " ".repeat(width));
    for id in voters {
        let ahead_of = voters.iter().filter(|other| index(other) < index(id));
        let bar = match acked.contains_key(id) {
            true => "x".repeat(ahead_of.count()) + ">",
            false => "?".to_owned(),
        };
        let padded = width + 1;
        writeln!(chart, "{bar:padded$} {:5}    (id={id})", index(id)).expect("to a string");
    }
    chart
}
