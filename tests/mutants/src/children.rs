//! A process per mutant: one that hangs or dies takes no other with it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coracle_mutants::Mutant;
use coracle_mutants::arguments::Judge;
use coracle_mutants::report::{Finding, Listed, Verdict};

/// How long a mutant may take, all of its seeds together.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often a child is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// The verdicts of the mutants, in their order.
pub(crate) fn run(wanted: &Judge) -> Result<Vec<Verdict>, String> {
    let mutants = &wanted.mutants;
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![None; mutants.len()]);
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(mutant) = mutants.get(at) else {
                        return;
                    };
                    let verdict = judge(*mutant, wanted.seeds);
                    if let Ok(verdict) = &verdict {
                        eprintln!("mutants: {verdict}");
                    }
                    if let Ok(mut verdicts) = verdicts.lock() {
                        verdicts[at] = Some(verdict);
                    }
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().map_err(|error| error.to_string())?;
    let missing = || Err("a mutant was passed over".to_owned());
    let verdicts = verdicts.into_iter().map(|it| it.unwrap_or_else(missing));
    verdicts.collect()
}

fn judge(mutant: Mutant, seeds: u64) -> Result<Verdict, String> {
    let begun = Instant::now();
    let mut child = start(mutant, seeds)?;
    let mut output = child.stdout.take().ok_or("no pipe to the child")?;
    let (text, ended) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        let ended = wait(&mut child);
        (reading.join(), ended)
    });
    let text = text.ok().and_then(Result::ok).unwrap_or_default();
    let Listed { mutant, area, what } = Listed::of(mutant);
    match serde_json::from_str(&text) {
        Ok(verdict) => Ok(verdict),
        // It took the whole process with it, or never came to an end.
        Err(_) => Ok(Verdict {
            mutant,
            area,
            what,
            directed: Finding {
                caught_by: Some(format!("the process {}", ended?)),
                millis: begun.elapsed().as_millis() as u64,
            },
            random: None,
        }),
    }
}

fn start(mutant: Mutant, seeds: u64) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let seeds = seeds.to_string();
    let child = Command::new(program)
        .args(["--child", "--mutant", mutant.name(), "--seeds", &seeds])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    child.map_err(|error| error.to_string())
}

/// How it ended.
fn wait(child: &mut Child) -> Result<String, String> {
    let end = Instant::now() + DEADLINE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(format!("ended with {status}")),
            Ok(None) if Instant::now() < end => std::thread::sleep(INTERVAL),
            Ok(None) => {
                child.kill().map_err(|error| error.to_string())?;
                child.wait().map_err(|error| error.to_string())?;
                return Err(format!("no verdict within {} s", DEADLINE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
