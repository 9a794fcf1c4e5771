//! What only an explicit build turns on: the product holds no deliberate bugs.

use crate::metadata::packages;

/// The feature that puts deliberate bugs in, and the crate that says which one is on.
const MUTANTS: &str = "mutants";
const SWITCH: &str = "coracle-switch";

/// The only program with bugs in it, and what forwards the feature on its behalf.
const PROGRAM: &str = "coracle-mutants";

/// The feature that lets tests make a node fail.
const FAILPOINTS: &str = "failpoints";

#[test]
fn nothing_turns_failpoints_on() {
    for package in packages() {
        let mut asked = package.uses.iter().flat_map(|used| &used.features);
        let mut implied = package.features.values().flatten();
        let turns_on = |it: &String| it == FAILPOINTS || it.ends_with("/failpoints");
        assert!(
            !asked.any(turns_on) && !implied.any(turns_on),
            "{} turns `{FAILPOINTS}` on",
            package.name
        );
    }
}

#[test]
fn no_dependency_asks_for_deliberate_bugs() {
    for package in packages() {
        for used in &package.uses {
            assert!(
                !used.features.iter().any(|feature| feature == MUTANTS),
                "{} uses {} with its feature `{MUTANTS}`",
                package.name,
                used.name
            );
            assert!(
                used.name != SWITCH || used.optional || package.name == PROGRAM,
                "{} links {SWITCH} always",
                package.name
            );
        }
    }
}

#[test]
fn no_other_feature_turns_deliberate_bugs_on() {
    for package in packages() {
        for (feature, what) in &package.features {
            let turns_on =
                |it: &String| it == MUTANTS || it.ends_with("/mutants") || it.ends_with(SWITCH);
            let implied = feature == SWITCH;
            assert!(
                feature == MUTANTS || implied || !what.iter().any(turns_on),
                "feature `{feature}` of {} turns `{MUTANTS}` on: {what:?}",
                package.name
            );
        }
    }
}
