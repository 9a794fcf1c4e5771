//! `coracle-chaos`: plays scenarios, and checks the folders that they leave.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use coracle_chaos::failure::Failure;
use coracle_chaos::inside::{self, Part};
use coracle_chaos::play::{Plan, Played, Settings, folder_of, play};
use coracle_chaos::scenario::Scenario;
use coracle_chaos::scenarios;
use coracle_chaos::summary::{Output, Summary};
use coracle_chaos::verdict;

/// Real faults on real processes, in a private network namespace.
#[derive(Debug, Parser)]
#[command(
    name = "coracle-chaos",
    after_help = "\
Examples:
  coracle-chaos --list
  coracle-chaos --scenario kill-leader --seed 7
  coracle-chaos --all --minutes 60 -o json
  coracle-chaos check target/chaos/kill-leader-7"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only this scenario; may be given again
    #[arg(long, value_name = "NAME", value_parser = scenario)]
    scenario: Vec<&'static Scenario>,
    /// The seed of the first run [default: a fresh one, which is printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Go round with further seeds until so much time has passed, 1 to 1440 [default: once]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: Option<u64>,
    /// The long form of each scenario
    #[arg(long)]
    all: bool,
    /// Say what scenarios there are
    #[arg(long)]
    list: bool,
    /// Where the folders of runs go
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    reports: PathBuf,
    /// The program to run [default: `coracle` beside this one]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Let nodes write what their cores did, and judge it by the abstract specification
    #[arg(long)]
    traces: bool,
    /// With `--scenario failpoints`: only this place, in every way; may be given again
    #[arg(long, value_name = "PLACE")]
    place: Vec<String>,
    /// How results are written to stdout
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Show every fault
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Checks the folder of a run again, from its files alone
    Check {
        /// The folder
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.verb {
        Some(Verb::Check { folder }) => check(folder),
        None if arguments.list => {
            list(arguments.output);
            Ok(ExitCode::SUCCESS)
        }
        None => go(&arguments, &chosen(&arguments)),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn chosen(arguments: &Arguments) -> Vec<&'static Scenario> {
    match arguments.scenario.as_slice() {
        [] => scenarios::ALL.iter().collect(),
        chosen => chosen.to_vec(),
    }
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    scenarios::named(name).ok_or_else(|| {
        let known: Vec<&str> = scenarios::ALL.iter().map(|known| known.name).collect();
        format!("there is no such scenario; there are {}", known.join(", "))
    })
}

fn go(arguments: &Arguments, chosen: &[&Scenario]) -> Result<ExitCode, Failure> {
    match inside::enter() {
        Ok(Part::Inmate) => {}
        Ok(Part::Done(code)) => return Ok(code),
        Err(Failure::Skipped(why)) => return Ok(nothing(arguments, chosen, &why)),
        Err(failure) => return Err(failure),
    }
    let settings = settings(arguments)?;
    let until = Instant::now() + Duration::from_secs(60 * arguments.minutes.unwrap_or(0));
    let mut seed = arguments.seed.unwrap_or_else(fresh_seed);
    let mut results: Vec<Played> = Vec::new();
    loop {
        for scenario in chosen {
            say(&format!(
                "{} with seed {seed}: {}",
                scenario.name, scenario.about
            ));
            let played = play(&settings, scenario, plan(arguments, scenario, seed))?;
            print(&arguments.output.run(&played));
            results.push(played);
            if settings.interrupted.load(Ordering::Relaxed) {
                return Ok(summary(arguments.output, &results));
            }
            if arguments.minutes.is_some() && Instant::now() >= until {
                return Ok(summary(arguments.output, &results));
            }
        }
        if arguments.minutes.is_none() {
            return Ok(summary(arguments.output, &results));
        }
        seed += 1;
    }
}

fn settings(arguments: &Arguments) -> Result<Settings, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::harness("find itself", error))?;
    let beside = own.with_file_name("coracle");
    let binary = arguments.binary.clone().unwrap_or(beside);
    if !binary.is_file() {
        return Err(Failure::harness(
            format!("run {}", binary.display()),
            "it is missing: run `cargo build -p coracle`",
        ));
    }
    let plugins = std::env::var_os("CORACLE_PLUGINS")
        .map_or_else(|| own.with_file_name("..").join("plugins"), PathBuf::from);
    if !plugins.join("kv.wasm").is_file() {
        return Err(Failure::harness(
            format!("find kv.wasm in {}", plugins.display()),
            "run `cargo xtask plugins`",
        ));
    }
    Ok(Settings {
        binary,
        plugins,
        reports: arguments.reports.clone(),
        traces: arguments.traces,
        places: arguments.place.clone(),
        verbose: arguments.verbose,
        interrupted: listen_for_interrupt()?,
    })
}

/// The inmate is process 1 of its world: a signal without a handler would do nothing.
fn listen_for_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::harness("start a runtime", error))?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            shared.store(true, Ordering::Relaxed);
        });
    });
    Ok(flag)
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs())
}

fn check(folder: &Path) -> Result<ExitCode, Failure> {
    let verdict = verdict::check(folder)?;
    print(&serde_json::to_string_pretty(&verdict).unwrap_or_default());
    Ok(
        if verdict.violations.is_empty() && verdict.recorded.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

fn list(output: Output) {
    for scenario in scenarios::ALL {
        print(&match output {
            Output::Text => format!("{:<20} {}", scenario.name, scenario.about),
            Output::Json => {
                let needs: Vec<String> = scenario
                    .needs
                    .iter()
                    .map(|tool| format!("{tool:?}"))
                    .collect();
                serde_json::json!({"name": scenario.name, "about": scenario.about, "needs": needs})
                    .to_string()
            }
        });
    }
}

/// Prints what they have come to together.
fn summary(output: Output, results: &[Played]) -> ExitCode {
    let summary = Summary::of(results);
    print(&output.summary(&summary));
    match summary.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// This machine lets us play nothing at all.
fn nothing(arguments: &Arguments, chosen: &[&Scenario], why: &str) -> ExitCode {
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    let skipped = chosen.iter().map(|scenario| {
        let plan = plan(arguments, scenario, seed);
        let folder = folder_of(&arguments.reports, &plan);
        let mut played = Played::of(plan, folder);
        played.skip(why.to_owned());
        print(&arguments.output.run(&played));
        played
    });
    let skipped: Vec<Played> = skipped.collect();
    summary(arguments.output, &skipped)
}

fn plan(arguments: &Arguments, scenario: &Scenario, seed: u64) -> Plan {
    Plan {
        scenario: scenario.name,
        seed,
        all: arguments.all,
    }
}

#[expect(clippy::print_stdout, reason = "the results are the output")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "progress is for people")]
fn say(line: &str) {
    eprintln!("chaos: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `clap` ends the program with.
    fn code(line: &str) -> Option<i32> {
        let words = std::iter::once("coracle-chaos").chain(line.split_whitespace());
        let error = Arguments::try_parse_from(words).err();
        error.map(|error| error.exit_code())
    }

    #[test]
    fn what_cannot_be_played_is_a_usage_error() {
        for line in [
            "--scenario nope",
            "--scenario kill-leader --scenario nope",
            "--minutes 0",
            "--minutes 1441",
            "--minutes 18446744073709551615",
        ] {
            assert_eq!(code(line), Some(2), "{line}");
        }
    }

    #[test]
    fn a_scenario_may_be_named_more_than_once() {
        assert_eq!(
            code("--scenario pause --scenario storm --minutes 1440"),
            None
        );
    }
}
