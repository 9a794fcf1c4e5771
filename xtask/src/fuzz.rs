//! `fuzz [TARGET] [--engine ENGINE] [--minutes M | --seconds S]`.

pub(crate) mod coverage;
mod libfuzzer;

use std::{process::Stdio, time::Duration};

use crate::{
    runs::{Failure, output, step},
    workspace::cargo,
};

/// How long each target runs if nothing is said.
const USUAL: Duration = Duration::from_secs(60);

/// How long it may run at most.
const MOST_SECONDS: u64 = 24 * 60 * 60;

/// More than any run gets to: time ends it.
const ITERATIONS: &str = "1000000000000";

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let asked = asked(arguments)?;
    match asked.engine {
        Engine::Random => at_random(&asked),
        Engine::Libfuzzer => libfuzzer::run(asked.target.as_deref(), asked.time),
    }
}

fn at_random(asked: &Asked) -> Result<(), Failure> {
    let Asked { target, time, .. } = asked;
    let seconds = time.as_secs();
    let what = match target {
        Some(target) => format!("fuzzing `{target}`, {seconds} s each"),
        None => format!("fuzzing every target, {seconds} s each"),
    };
    let targets = || {
        let mut command = cargo("test --release -p coracle-fuzz --test fuzz");
        command.args(target).arg("--");
        command
    };
    step(
        "building the targets",
        targets()
            .args(["--list", "--format", "terse"])
            .stdout(Stdio::null()),
    )?;
    names(
        &output(targets().args(["--list", "--format", "terse"]))?,
        target.as_deref(),
    )?;
    let mut command = targets();
    command
        .arg("--nocapture")
        .env("BOLERO_RANDOM_ITERATIONS", ITERATIONS)
        .env("BOLERO_RANDOM_TEST_TIME_MS", time.as_millis().to_string());
    step(&what, &mut command)
}

/// Those of a list of tests that a filter has left; one that leaves none is a mistake.
fn names(listed: &str, filter: Option<&str>) -> Result<Vec<String>, Failure> {
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    let names: Vec<String> = names.map(str::to_owned).collect();
    match (names.is_empty(), filter) {
        (true, Some(filter)) => Err(Failure::Usage(format!(
            "no target's name holds `{filter}`; `cargo test -p coracle-fuzz -- --list` names all"
        ))),
        _ => Ok(names),
    }
}

/// Who draws the tapes.
#[derive(Debug, PartialEq, Eq)]
enum Engine {
    /// Chance alone.
    Random,
    /// Whatever reaches code that none before has reached is kept, and changed further.
    Libfuzzer,
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    target: Option<String>,
    engine: Engine,
    time: Duration,
}

fn asked(arguments: &[String]) -> Result<Asked, Failure> {
    let mut asked = Asked {
        target: None,
        engine: Engine::Random,
        time: USUAL,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--engine" => asked.engine = engine(words.next())?,
            "--minutes" => asked.time = time(word, 60, words.next())?,
            "--seconds" => asked.time = time(word, 1, words.next())?,
            flag if flag.starts_with('-') => {
                return Err(Failure::Usage(format!("`fuzz` has no `{flag}`")));
            }
            target if asked.target.is_none() => asked.target = Some(target.to_owned()),
            extra => {
                return Err(Failure::Usage(format!(
                    "`fuzz` takes one target, not also `{extra}`"
                )));
            }
        }
    }
    Ok(asked)
}

fn engine(name: Option<&String>) -> Result<Engine, Failure> {
    match name.map(String::as_str) {
        Some("random") => Ok(Engine::Random),
        Some("libfuzzer") => Ok(Engine::Libfuzzer),
        _ => Err(Failure::Usage(
            "`--engine` wants `random` or `libfuzzer`".into(),
        )),
    }
}

fn time(flag: &str, unit: u64, number: Option<&String>) -> Result<Duration, Failure> {
    let most = MOST_SECONDS / unit;
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    let number = number.filter(|number| (1..=most).contains(number));
    let number = number.ok_or_else(|| Failure::Usage(format!("`{flag}` wants 1 to {most}")))?;
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn target_engine_and_time_come_in_any_order() {
        let wanted = Asked {
            target: Some("transport".into()),
            engine: Engine::Libfuzzer,
            time: Duration::from_secs(300),
        };
        for line in [
            "transport --minutes 5 --engine libfuzzer",
            "--engine libfuzzer --seconds 300 transport",
        ] {
            assert_eq!(asked(&words(line)).expect("is understood"), wanted);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--minutes",
            "--minutes 0",
            "--minutes 1441",
            "--seconds x",
            "--engine afl",
            "--engine",
            "--fast",
            "a b",
        ] {
            assert!(
                matches!(asked(&words(line)), Err(Failure::Usage(_))),
                "{line}"
            );
        }
    }

    #[test]
    fn a_filter_that_leaves_no_target_is_refused() {
        let listed = "transport::hello: test\nhost::config: test\n";
        let names_of = |listed, filter| names(listed, filter).expect("has some");
        assert_eq!(names_of(listed, None), ["transport::hello", "host::config"]);
        assert!(matches!(names("", Some("nosuch")), Err(Failure::Usage(_))));
    }
}
