//! What is left of a seed that fails: a tape as small as it can be had, and its last events.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coracle_sim::minimise::minimise;
use coracle_sim::{Plan, Tape, record, replay, survive};

use crate::terminal::{data, say};

/// How long lists are made shorter; it takes some more to try what is left.
const PATIENCE: Duration = Duration::from_secs(120);

/// Events that are shown of a run that fails in a sweep.
const LAST_EVENTS: usize = 100;

/// Makes a seed that fails smaller, and keeps its tape in a folder.
pub(crate) fn keep(seed: u64, corpus: &str) -> Result<PathBuf, String> {
    let begun = Instant::now();
    let ended = survive(move || shrunken(seed, &|| begun.elapsed() < PATIENCE));
    let (tape, violation) = ended.map_err(|ended| format!("seed {seed}: {ended}"))??;
    let path = Path::new(corpus).join(format!("seed-{seed}.tape"));
    let head = format!("# seed {seed}: {violation}\n");
    std::fs::write(&path, head + &tape.to_string())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    data(format_args!("{}: {}", path.display(), size(&tape)));
    Ok(path)
}

/// For who finds a failure in a log and has nothing else: the tape, and the last events of it.
pub(crate) fn show(tape: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", tape.display());
    let text = std::fs::read_to_string(tape).map_err(failed)?;
    say(format_args!("{}:\n{text}", tape.display()));
    let mut played = Command::new(std::env::current_exe().map_err(failed)?)
        .arg("--tape")
        .arg(tape)
        .arg("--trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let events = played.stdout.take().map(BufReader::new);
    let mut last = VecDeque::new();
    let mut all = 0_u64;
    for line in events.into_iter().flat_map(BufRead::lines) {
        if last.len() == LAST_EVENTS {
            last.pop_front();
        }
        last.push_back(line.map_err(failed)?);
        all += 1;
    }
    // It fails, as it should; what it says of that was said before.
    played.wait().map_err(failed)?;
    say(format_args!("the last {} of {all} events:", last.len()));
    last.iter().for_each(say);
    Ok(())
}

/// The smallest tape of a seed that fails as it does, and how it fails.
fn shrunken(seed: u64, goes_on: &dyn Fn() -> bool) -> Result<(Tape, String), String> {
    let (outcome, tape) = record(Plan::of(seed), false);
    let Err(violation) = outcome else {
        return Err(format!("seed {seed} violates nothing"));
    };
    say(format_args!("seed {seed}: {violation}"));
    let tape = minimise(tape, goes_on, &mut |tape| say(size(tape)));
    let violation = replay(&tape, false).err().map(|it| it.to_string());
    Ok((tape, violation.unwrap_or_default()))
}

fn size(tape: &Tape) -> String {
    let requests = tape.requests.as_ref().map(|requests| requests.len());
    let requests = requests.map_or("all".to_owned(), |requests| requests.to_string());
    let Plan { nodes, clients, .. } = tape.plan;
    let attacks = tape.attacks.len();
    format!("{attacks} faults, {requests} requests, {clients} clients, {nodes} nodes")
}
