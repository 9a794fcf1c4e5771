//! What runs have come to, as text or as JSON: a line each, and one about all of them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::play::{Plan, Played};
use crate::verdict::{FAILED, PASSED, SKIPPED};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// A JSON object in each line.
    Json,
}

/// All runs together.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub runs: usize,
    /// Those in which nothing was wrong.
    pub passed: usize,
    /// Those in which something was.
    pub failed: usize,
    /// Those that this machine does not allow.
    pub skipped: usize,
    /// What it does not allow, and how many were skipped for it.
    pub missing: BTreeMap<String, usize>,
    /// What was done, how often.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// Of these runs.
    pub fn of(played: &[Played]) -> Self {
        let mut all = Self {
            runs: played.len(),
            ..Self::default()
        };
        for run in played {
            match run.result {
                PASSED => all.passed += 1,
                SKIPPED => all.skipped += 1,
                _ => all.failed += 1,
            }
            if run.result == SKIPPED {
                *all.missing.entry(run.why.join("; ")).or_default() += 1;
            }
            for (name, number) in &run.faults {
                *all.faults.entry(name).or_default() += number;
            }
        }
        all
    }
}

impl Output {
    /// A run; if it failed, with all that is needed to look at it.
    pub fn run(self, played: &Played) -> String {
        match self {
            Self::Json => json(played),
            Self::Text => text(played),
        }
    }

    /// All of them.
    pub fn summary(self, summary: &Summary) -> String {
        let Summary {
            runs,
            passed,
            failed,
            skipped,
            missing,
            faults,
        } = summary;
        match self {
            Self::Json => json(summary),
            Self::Text => {
                let reasons = missing
                    .iter()
                    .map(|(why, runs)| format!("\n  {runs}: {why}"));
                let reasons: String = reasons.collect();
                let faults = json(faults);
                format!(
                    "{runs} runs: {passed} passed, {failed} failed, {skipped} skipped; {faults}{reasons}"
                )
            }
        }
    }
}

fn text(played: &Played) -> String {
    let Plan {
        scenario,
        seed,
        all,
    } = &played.plan;
    let (result, seconds, faults) = (played.result, played.seconds, json(&played.faults));
    let mut lines = vec![format!(
        "{result} {scenario} seed {seed} in {seconds} s {faults}"
    )];
    lines.extend(played.why.iter().map(|why| format!("  {why}")));
    if result == FAILED {
        let all = if *all { " --all" } else { "" };
        lines.push(format!("  folder: {}", played.folder.display()));
        lines.push(format!(
            "  again: cargo xtask chaos --scenario {scenario} --seed {seed}{all}"
        ));
    }
    lines.join("\n")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(result: &'static str, why: &[&str]) -> Played {
        let plan = Plan {
            scenario: "pause",
            seed: 7,
            all: true,
        };
        let mut played = Played::of(plan, "runs/pause-7".into());
        played.result = result;
        played.why = why.iter().map(|why| (*why).to_owned()).collect();
        played.faults.insert("pause", 2);
        played
    }

    #[test]
    fn what_was_skipped_is_counted_with_its_reason_and_not_as_passed() {
        let runs = [
            played(PASSED, &[]),
            played(SKIPPED, &["no nft"]),
            played(SKIPPED, &["no nft"]),
            played(FAILED, &["n1 has ended"]),
        ];
        let summary = Summary::of(&runs);
        let counts = (
            summary.runs,
            summary.passed,
            summary.failed,
            summary.skipped,
        );
        assert_eq!(counts, (4, 1, 1, 2));
        assert_eq!(
            Output::Text.summary(&summary),
            "4 runs: 1 passed, 1 failed, 2 skipped; {\"pause\":8}\n  2: no nft"
        );
        let json: serde_json::Value =
            serde_json::from_str(&Output::Json.summary(&summary)).unwrap();
        assert_eq!(
            (&json["skipped"], &json["missing"]["no nft"]),
            (&2.into(), &2.into())
        );
    }

    #[test]
    fn a_failure_says_how_to_play_it_again() {
        let failed = played(FAILED, &["n1 has ended"]);
        let text = Output::Text.run(&failed);
        assert!(
            text.contains("\n  n1 has ended\n  folder: runs/pause-7\n"),
            "{text}"
        );
        assert!(text.ends_with("--scenario pause --seed 7 --all"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&Output::Json.run(&failed)).unwrap();
        assert_eq!(json["why"][0], "n1 has ended");
        assert_eq!(json["plan"]["scenario"], "pause");
    }
}
