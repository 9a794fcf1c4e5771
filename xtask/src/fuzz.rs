//! `fuzz [TARGET] [--minutes M]`.

use crate::{
    runs::{Failure, step},
    workspace::cargo,
};

/// How long each target runs if nothing is said.
const MINUTES: u64 = 1;

/// More than any run gets to: time ends it.
const ITERATIONS: &str = "1000000000000";

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Asked { target, minutes } = asked(arguments)?;
    let what = match &target {
        Some(target) => format!("fuzzing `{target}`, {minutes} min each"),
        None => format!("fuzzing every target, {minutes} min each"),
    };
    let mut command = cargo("test --release -p coracle-fuzz --test fuzz");
    command
        .args(target)
        .args(["--", "--nocapture"])
        .env("BOLERO_RANDOM_ITERATIONS", ITERATIONS)
        .env("BOLERO_RANDOM_TEST_TIME_MS", (minutes * 60_000).to_string());
    step(&what, &mut command)
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    target: Option<String>,
    minutes: u64,
}

fn asked(arguments: &[String]) -> Result<Asked, Failure> {
    let mut asked = Asked {
        target: None,
        minutes: MINUTES,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--minutes" => {
                let minutes = words.next().and_then(|number| number.parse().ok());
                asked.minutes = minutes
                    .filter(|minutes| (1..=1440).contains(minutes))
                    .ok_or_else(|| Failure::Usage("`--minutes` wants 1 to 1440".into()))?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn target_and_minutes_come_in_any_order() {
        let wanted = Asked {
            target: Some("transport".into()),
            minutes: 5,
        };
        for line in ["transport --minutes 5", "--minutes 5 transport"] {
            assert_eq!(asked(&words(line)).expect("is understood"), wanted);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["--minutes", "--minutes 0", "--minutes x", "--fast", "a b"] {
            assert!(
                matches!(asked(&words(line)), Err(Failure::Usage(_))),
                "{line}"
            );
        }
    }
}
