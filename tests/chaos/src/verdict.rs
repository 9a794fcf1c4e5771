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
    /// Events of cores that the abstract specification has explained, if they were written.
    pub explained: Option<u64>,
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
/// The folder of what the nodes' cores did.
pub(crate) const TRACES: &str = "traces";
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
    traces(folder, &mut verdict)?;
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

/// In the end all have applied the same and come to the same. A run that failed has no such end.
fn ends(folder: &Path, verdict: &mut Verdict) -> Result<(), Failure> {
    let path = folder.join(FINAL);
    if !path.exists() {
        return Ok(());
    }
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

/// What the cores did is a behaviour of Raft.
fn traces(folder: &Path, verdict: &mut Verdict) -> Result<(), Failure> {
    let folder = folder.join(TRACES);
    if !folder.exists() {
        return Ok(());
    }
    let mut events = Vec::new();
    for path in files(&folder)? {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let more = coracle_spec::read(BufReader::new(file));
        events.extend(more.map_err(|error| unreadable(&path, error.reason))?);
    }
    match coracle_spec::validate_merged(events) {
        Ok(report) => verdict.explained = Some(report.events),
        Err(failure) => verdict.violations.push(failure.to_string()),
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

#[cfg(test)]
mod tests {
    use coracle_history::{Action, Outcome, ReadKind, Recorder};
    use tempfile::TempDir;

    use super::*;

    /// A run in which `a` was put at index 5 and read.
    fn folder(seen: &[Seen], ends: &[Last], read: Outcome) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in [HISTORIES, CHAINS] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let lines: Vec<String> = seen
            .iter()
            .map(|seen| serde_json::to_string(seen).unwrap())
            .collect();
        let chains = folder.path().join(CHAINS).join("n1.ndjson");
        std::fs::write(chains, lines.join("\n")).unwrap();
        let text = serde_json::to_string(ends).unwrap();
        std::fs::write(folder.path().join(FINAL), text).unwrap();
        let mut client = Recorder::new(1);
        let put = client.invoke(10, "kv", "a", Action::Put("1".into()), None);
        client.answered(put, 20, 5, Outcome::Done);
        let get = client.invoke(30, "kv", "a", Action::Read(ReadKind::Linearizable), None);
        client.answered(get, 40, 6, read);
        let history = History {
            origin: "a test".into(),
            operations: client.into_operations(),
            log: None,
        };
        let file = folder.path().join(HISTORIES).join("client-1.ndjson");
        history.write(&mut File::create(file).unwrap()).unwrap();
        folder
    }

    fn head(node: u64, head: &str) -> Seen {
        Seen::Head {
            node,
            group: 5,
            index: 7,
            head: head.into(),
        }
    }

    fn leads(node: u64, term: u64) -> Seen {
        Seen::Leads {
            node,
            group: 5,
            term,
        }
    }

    fn last(node: u64, index: u64, head: &str) -> Last {
        Last {
            node,
            index,
            head: head.into(),
        }
    }

    fn right() -> Outcome {
        Outcome::Value("1".into())
    }

    fn only_violation(folder: &TempDir) -> String {
        let mut violations = check(folder.path()).unwrap().violations;
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations.remove(0)
    }

    #[test]
    fn a_good_run_has_no_violation() {
        let seen = [head(1, "x"), head(2, "x"), leads(1, 3), leads(2, 4)];
        let ends = [last(1, 9, "y"), last(2, 9, "y")];
        let verdict = check(folder(&seen, &ends, right()).path()).unwrap();
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert_eq!((verdict.compared, verdict.terms), (1, 2));
        assert_eq!(verdict.history.map(|report| report.operations), Some(2));
    }

    #[test]
    fn nodes_that_differ_at_an_index_are_named() {
        let found = only_violation(&folder(&[head(1, "x"), head(2, "y")], &[], right()));
        assert_eq!(found, "g5 index 7: n2 has the head y, n1 has x");
    }

    #[test]
    fn two_leaders_of_a_term_are_named() {
        let found = only_violation(&folder(&[leads(1, 3), leads(3, 3)], &[], right()));
        assert_eq!(found, "g5 term 3: n1 and n3 have both led");
    }

    #[test]
    fn nodes_that_end_differently_are_named() {
        let ends = [last(1, 9, "x"), last(2, 9, "y")];
        let found = only_violation(&folder(&[], &ends, right()));
        assert!(found.starts_with("in the end n1 is at index 9"), "{found}");
    }

    #[test]
    fn a_read_that_misses_an_acknowledged_write_is_found() {
        only_violation(&folder(&[], &[], Outcome::Missing));
    }
}
