//! What a folder of a run shows: everything that is checked, from files alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use coracle_history::{History, Report};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::watch::Seen;

/// The result of a check.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// What is wrong; nothing, if it is empty.
    pub violations: Vec<String>,
    /// What the histories hold.
    pub history: Option<Report>,
    /// Indexes at which heads of chains were compared between nodes.
    pub compared: u64,
    /// Terms in which a leader was seen.
    pub terms: u64,
}

/// How a node was in the end: `final.json` holds a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Which.
    pub node: u64,
    /// What it had applied.
    pub index: u64,
    /// Its head there.
    pub head: String,
}

/// The folder of a run's histories.
pub(crate) const HISTORIES: &str = "history";
/// The folder of what nodes said of themselves.
pub(crate) const CHAINS: &str = "chains";
/// How the nodes were in the end.
pub(crate) const FINAL: &str = "final.json";

/// Looks at everything in a folder of a run.
///
/// # Errors
/// If it is none, or damaged.
pub fn check(folder: &Path) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::default();
    chains(folder, &mut verdict)?;
    ends(folder, &mut verdict)?;
    let history = histories(folder)?;
    match coracle_history::check(&history) {
        Ok(report) => verdict.history = Some(report),
        Err(violation) => verdict.violations.push(violation.to_string()),
    }
    Ok(verdict)
}

/// The histories of all clients as one.
///
/// # Errors
/// If there is none, or one is damaged.
pub(crate) fn histories(folder: &Path) -> Result<History, Failure> {
    let mut all = History {
        origin: folder.display().to_string(),
        ..History::default()
    };
    for path in files(&folder.join(HISTORIES))? {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let history = History::read(&mut BufReader::new(file));
        let history = history.map_err(|error| unreadable(&path, error))?;
        all.operations.extend(history.operations);
    }
    Ok(all)
}

/// Two nodes never have another head at the same index, nor lead in the same term.
fn chains(folder: &Path, verdict: &mut Verdict) -> Result<(), Failure> {
    let mut heads: BTreeMap<(u64, u64), (u64, String)> = BTreeMap::new();
    let mut leaders: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut compared = std::collections::BTreeSet::new();
    for path in files(&folder.join(CHAINS))? {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| unreadable(&path, error))?;
            match serde_json::from_str(&line).map_err(|error| unreadable(&path, error))? {
                Seen::Head {
                    node,
                    group,
                    index,
                    head,
                } => {
                    let first = heads.entry((group, index)).or_insert((node, head.clone()));
                    if first.1 != head {
                        verdict.violations.push(format!(
                            "g{group} index {index}: n{node} has the head {head}, n{} has {}",
                            first.0, first.1
                        ));
                    }
                    if first.0 != node {
                        compared.insert((group, index));
                    }
                }
                Seen::Leads { node, group, term } => {
                    let first = *leaders.entry((group, term)).or_insert(node);
                    if first != node {
                        verdict.violations.push(format!(
                            "g{group} term {term}: n{first} and n{node} have both led"
                        ));
                    }
                }
            }
        }
    }
    verdict.compared = compared.len() as u64;
    verdict.terms = leaders.len() as u64;
    Ok(())
}

/// In the end all have applied the same and come to the same.
fn ends(folder: &Path, verdict: &mut Verdict) -> Result<(), Failure> {
    let path = folder.join(FINAL);
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
    let ends: Vec<Last> = serde_json::from_str(&text).map_err(|error| unreadable(&path, error))?;
    for pair in ends.windows(2) {
        let [one, other] = pair else { continue };
        if (one.index, &one.head) != (other.index, &other.head) {
            verdict.violations.push(format!(
                "in the end n{} is at index {} with the head {}, n{} at {} with {}",
                one.node, one.index, one.head, other.node, other.index, other.head
            ));
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "ndjson"));
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::harness(format!("read {}", path.display()), error)
}
