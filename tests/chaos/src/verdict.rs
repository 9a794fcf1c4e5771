//! What a folder of a run shows: everything that is checked, from files alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use coracle_history::{Action, History, ReadKind, Report};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::manifest::{Lines, Manifest, files, name_of, unreadable};
use crate::watch::Seen;

/// The result of a check.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// What is wrong; nothing, if it is empty.
    pub violations: Vec<String>,
    /// What the run has recorded against itself and the files alone cannot show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<String>,
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
/// How the run has ended.
pub(crate) const VERDICT: &str = "verdict.json";
/// The result of a run without fault.
pub(crate) const PASSED: &str = "passed";
/// The result of a run in which something was wrong.
pub(crate) const FAILED: &str = "failed";
/// The result of a run that this machine does not allow.
pub(crate) const SKIPPED: &str = "skipped";
/// The client that reads everything in the end; a load has fewer.
pub(crate) const READER: u64 = 1_000;
/// So many operations of a kind, and not one answered: nothing was tested by them.
const MANY: u64 = 20;
/// How the nodes were in the end.
pub(crate) const FINAL: &str = "final.json";

/// How a run has ended, as far as a later check asks for it.
#[derive(Debug, Deserialize)]
struct Recorded {
    result: String,
    why: Vec<String>,
}

/// Looks at everything in the folder of a run, and at what the run has recorded itself: that a
/// process has ended, or a wait was too long, is in no other file.
///
/// # Errors
/// If it is none, or damaged, or lacks something that the run wrote.
pub fn check(folder: &Path) -> Result<Verdict, Failure> {
    let path = folder.join(VERDICT);
    let text = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let recorded: Recorded =
        serde_json::from_slice(&text).map_err(|error| unreadable(&path, error))?;
    let passed = recorded.result == PASSED;
    let mut verdict = judge(folder, passed)?;
    verdict.recorded = recorded.why;
    verdict
        .recorded
        .retain(|why| !verdict.violations.contains(why));
    if !passed && verdict.recorded.is_empty() && verdict.violations.is_empty() {
        let result = recorded.result;
        verdict
            .recorded
            .push(format!("the run is recorded as {result}"));
    }
    Ok(verdict)
}

/// Looks at everything in a folder of a run. `whole`: the run has come to its end, so that there
/// must be something of every kind.
///
/// # Errors
/// If it is none, or damaged, or lacks something that the run wrote.
pub(crate) fn judge(folder: &Path, whole: bool) -> Result<Verdict, Failure> {
    let manifest = Manifest::read(folder)?;
    let mut verdict = Verdict::default();
    let mut lacks = manifest.lacks(folder);
    lacks.extend(chains(folder, &manifest, &mut verdict)?);
    lacks.extend(ends(folder, &manifest, &mut verdict)?);
    if manifest.traced {
        traces(folder, &mut verdict)?;
    }
    let (history, operations) = read_histories(folder)?;
    let wrote = &manifest.histories;
    lacks.extend(Manifest::differences(HISTORIES, wrote, &operations));
    match coracle_history::check(&history) {
        Ok(report) => verdict.history = Some(report),
        Err(violation) => verdict.violations.push(violation.to_string()),
    }
    if whole {
        lacks.extend(empty(&manifest, &verdict, &operations));
        lacks.extend(unanswered(&history));
    }
    if lacks.is_empty() {
        return Ok(verdict);
    }
    Err(Failure::Incomplete(lacks.join("; ")))
}

/// What a run that came to its end cannot be without.
fn empty(
    manifest: &Manifest,
    verdict: &Verdict,
    operations: &BTreeMap<String, u64>,
) -> Vec<String> {
    let mut lacks = Vec::new();
    if operations.is_empty() || operations.values().any(|count| *count == 0) {
        lacks.push("a client has done nothing".to_owned());
    }
    if manifest.ends.is_empty() {
        lacks.push("no node has an end".to_owned());
    }
    if verdict.compared == 0 {
        lacks.push("no two nodes were compared".to_owned());
    }
    if manifest.traced && verdict.explained == Some(0) {
        lacks.push("no core has done anything".to_owned());
    }
    lacks
}

/// Kinds of operations that clients have asked for again and again, and never with an answer.
fn unanswered(history: &History) -> Vec<String> {
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let of_load = history.operations.iter();
    for operation in of_load.filter(|operation| operation.client != READER) {
        let (asked, answered) = kinds.entry(kind(&operation.action)).or_default();
        *asked += 1;
        *answered += u64::from(!operation.replies.is_empty());
    }
    let never = kinds
        .iter()
        .filter(|(_, (asked, answered))| *asked >= MANY && *answered == 0);
    never
        .map(|(kind, (asked, _))| format!("{asked} times {kind} was asked for and never answered"))
        .collect()
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Read(ReadKind::Linearizable) => "a linearizable read",
        Action::Read(ReadKind::Lease) => "a lease read",
        Action::Read(ReadKind::Stale { .. }) => "a stale read",
        Action::Cas { .. } => "a comparing write",
        _ => "a write",
    }
}

/// The histories of all clients as one.
///
/// # Errors
/// If there is none, or one is damaged.
pub(crate) fn histories(folder: &Path) -> Result<History, Failure> {
    read_histories(folder).map(|(history, _)| history)
}

/// Also how many operations each file holds.
fn read_histories(folder: &Path) -> Result<(History, BTreeMap<String, u64>), Failure> {
    let mut all = History {
        origin: folder.display().to_string(),
        ..History::default()
    };
    let mut counts = BTreeMap::new();
    for path in files(&folder.join(HISTORIES))? {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let history = History::read(&mut BufReader::new(file));
        let history = history.map_err(|error| unreadable(&path, error))?;
        counts.insert(name_of(&path), history.operations.len() as u64);
        all.operations.extend(history.operations);
    }
    Ok((all, counts))
}

/// Two nodes never have another head at the same index, nor lead in the same term. Answers what is not there.
fn chains(
    folder: &Path,
    manifest: &Manifest,
    verdict: &mut Verdict,
) -> Result<Vec<String>, Failure> {
    let mut found: BTreeMap<String, Lines> = BTreeMap::new();
    let mut heads: BTreeMap<(u64, u64), (u64, String)> = BTreeMap::new();
    let mut leaders: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut compared = std::collections::BTreeSet::new();
    for path in files(&folder.join(CHAINS))? {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let lines = found.entry(name_of(&path)).or_default();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| unreadable(&path, error))?;
            let seen: Seen =
                serde_json::from_str(&line).map_err(|error| unreadable(&path, error))?;
            *lines.entry(seen.group()).or_default() += 1;
            match seen {
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
    Ok(Manifest::differences(CHAINS, &manifest.chains, &found))
}

/// In the end all have applied the same and come to the same. A run that failed has no such end.
/// Answers what is not there.
fn ends(folder: &Path, manifest: &Manifest, verdict: &mut Verdict) -> Result<Vec<String>, Failure> {
    if manifest.ends.is_empty() {
        return Ok(Vec::new());
    }
    let path = folder.join(FINAL);
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
    let ends: Vec<Last> = serde_json::from_str(&text).map_err(|error| unreadable(&path, error))?;
    let nodes: Vec<u64> = ends.iter().map(|end| end.node).collect();
    if nodes != manifest.ends {
        let wrote = &manifest.ends;
        return Ok(vec![format!(
            "{FINAL} has the nodes {nodes:?}, the run wrote {wrote:?}"
        )]);
    }
    for pair in ends.windows(2) {
        let [one, other] = pair else { continue };
        if (one.index, &one.head) != (other.index, &other.head) {
            verdict.violations.push(format!(
                "in the end n{} is at index {} with the head {}, n{} at {} with {}",
                one.node, one.index, one.head, other.node, other.index, other.head
            ));
        }
    }
    Ok(Vec::new())
}

/// What the cores did is a behaviour of Raft.
fn traces(folder: &Path, verdict: &mut Verdict) -> Result<(), Failure> {
    let folder = folder.join(TRACES);
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

#[cfg(test)]
mod tests {
    use coracle_history::{Outcome, Recorder};
    use tempfile::TempDir;

    use super::*;
    use crate::manifest::{LOGS, MANIFEST, PLAN, TIMELINE};

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
        std::fs::create_dir(folder.path().join(LOGS)).unwrap();
        std::fs::write(folder.path().join(LOGS).join("n1.log"), "started").unwrap();
        std::fs::write(folder.path().join(TIMELINE), "{}\n{}\n").unwrap();
        std::fs::write(folder.path().join(PLAN), "{}").unwrap();
        let mut lines = Lines::new();
        for seen in seen {
            *lines.entry(seen.group()).or_default() += 1;
        }
        let mut manifest = Manifest {
            histories: BTreeMap::from([("client-1.ndjson".into(), 2)]),
            chains: BTreeMap::from([("n1.ndjson".into(), lines)]),
            ends: ends.iter().map(|end| end.node).collect(),
            timeline: 2,
            ..Manifest::default()
        };
        manifest.weigh(folder.path(), LOGS).unwrap();
        let text = serde_json::to_string(&manifest).unwrap();
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        record(&folder, PASSED, "");
        folder
    }

    fn record(folder: &TempDir, result: &str, why: &str) {
        let why: Vec<&str> = why.lines().collect();
        let text = serde_json::json!({"result": result, "why": why, "seconds": 3}).to_string();
        std::fs::write(folder.path().join(VERDICT), text).unwrap();
    }

    /// A run without fault.
    fn good() -> TempDir {
        let seen = [head(1, "x"), head(2, "x"), leads(1, 3), leads(2, 4)];
        folder(&seen, &[last(1, 9, "y"), last(2, 9, "y")], right())
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
        let mut violations = judge(folder.path(), false).unwrap().violations;
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations.remove(0)
    }

    #[test]
    fn a_good_run_has_no_violation() {
        let verdict = check(good().path()).unwrap();
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert_eq!(verdict.recorded, Vec::<String>::new());
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

    #[test]
    fn a_folder_without_something_that_the_run_wrote_is_refused() {
        let history = format!("{HISTORIES}/client-1.ndjson");
        let chain = format!("{CHAINS}/n1.ndjson");
        let log = format!("{LOGS}/n1.log");
        let files: [&str; 8] = [
            &history, &chain, &log, FINAL, PLAN, TIMELINE, MANIFEST, VERDICT,
        ];
        for gone in files {
            let folder = good();
            std::fs::remove_file(folder.path().join(gone)).unwrap();
            let failure = check(folder.path()).unwrap_err().to_string();
            assert!(failure.contains(gone), "{gone}: {failure}");
        }
    }

    #[test]
    fn files_that_hold_less_than_the_run_wrote_are_refused() {
        for name in [
            "history/client-1.ndjson",
            "chains/n1.ndjson",
            "logs/n1.log",
            TIMELINE,
        ] {
            let folder = good();
            let path = folder.path().join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            // Of a history the first line is its header.
            let first = if name == "logs/n1.log" {
                ""
            } else {
                text.lines().next().unwrap()
            };
            std::fs::write(&path, format!("{first}\n")).unwrap();
            let failure = check(folder.path()).unwrap_err().to_string();
            assert!(failure.contains(name), "{name}: {failure}");
        }
    }

    #[test]
    fn a_run_that_passed_without_comparing_anything_is_refused() {
        let alone = folder(&[head(1, "x")], &[last(1, 9, "y")], right());
        let failure = check(alone.path()).unwrap_err().to_string();
        assert!(failure.contains("no two nodes were compared"), "{failure}");
        let endless = folder(&[head(1, "x"), head(2, "x")], &[], right());
        let failure = check(endless.path()).unwrap_err().to_string();
        assert!(failure.contains("no node has an end"), "{failure}");
    }

    #[test]
    fn a_kind_of_operation_that_was_never_answered_is_named() {
        let mut client = Recorder::new(1);
        let mut reader = Recorder::new(READER);
        for at in 0..MANY {
            let lease = Action::Read(ReadKind::Lease);
            client.invoke(at, "kv", "a", lease.clone(), None);
            let id = reader.invoke(at, "kv", "a", lease, None);
            reader.answered(id, at + 1, 1, Outcome::Missing);
        }
        let mut history = History {
            operations: client.into_operations(),
            ..History::default()
        };
        history.operations.extend(reader.into_operations());
        let never = "20 times a lease read was asked for and never answered";
        assert_eq!(unanswered(&history), [never]);
        history.operations.remove(0);
        assert_eq!(unanswered(&history), Vec::<String>::new());
    }

    #[test]
    fn what_only_the_run_itself_could_see_is_taken_over() {
        let folder = good();
        record(&folder, "failed", "n2 has ended by itself");
        let verdict = check(folder.path()).unwrap();
        assert_eq!(verdict.recorded, ["n2 has ended by itself"]);
        record(&folder, "skipped", "");
        let verdict = check(folder.path()).unwrap();
        assert_eq!(verdict.recorded, ["the run is recorded as skipped"]);
    }

    #[test]
    fn what_is_found_again_is_not_said_twice() {
        let folder = folder(&[head(1, "x"), head(2, "y")], &[], right());
        record(&folder, "failed", "g5 index 7: n2 has the head y, n1 has x");
        let verdict = check(folder.path()).unwrap();
        assert_eq!((verdict.violations.len(), verdict.recorded.len()), (1, 0));
    }
}
