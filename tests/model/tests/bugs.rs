//! The checker is checked: a bug put into a slice is found, and breaks what it should break.

use coracle_model::{Bug, Invariant, Search, check, slice};

/// States generated, beyond which a bug counts as missed.
const MAX_STATES: usize = 2_000_000;

fn breaks(name: &str, bug: Bug) -> Option<&'static str> {
    let slice = slice(name).expect("a slice of that name").clone();
    let search = Search {
        slice,
        bug: Some(bug),
    };
    let outcome = check(&search, MAX_STATES);
    outcome.broken.map(|(invariant, _)| invariant)
}

#[test]
fn a_forgotten_vote_elects_two_leaders() {
    let broken = breaks("election", Bug::VoteForgotten);
    assert_eq!(broken, Some(Invariant::ElectionSafety.name()));
}

#[test]
fn a_write_acknowledged_early_is_heard_of() {
    for slice in ["election", "snapshot"] {
        let broken = breaks(slice, Bug::WriteAcknowledgedEarly);
        assert_eq!(broken, Some(Invariant::DurableFirst.name()), "{slice}");
    }
}

#[test]
fn a_candidate_that_is_believed_leads_without_what_is_committed() {
    let broken = breaks("pre-vote", Bug::CandidateBelieved);
    assert_eq!(broken, Some(Invariant::LeaderCompleteness.name()));
}

#[test]
fn an_acknowledgement_counted_twice_commits_without_both_halves() {
    let broken = breaks("joint", Bug::AcknowledgementCountedTwice);
    assert_eq!(broken, Some(Invariant::CommitOnQuorum.name()));
}

#[test]
fn a_snapshot_that_claims_more_commits_what_nobody_did() {
    let broken = breaks("snapshot", Bug::SnapshotClaimsMore);
    assert_eq!(broken, Some(Invariant::CommitOnQuorum.name()));
}

#[test]
fn an_invented_echo_lets_an_old_leader_answer_reads() {
    let broken = breaks("read-index", Bug::EchoInvented);
    assert_eq!(broken, Some(Invariant::ReadFreshness.name()));
}

#[test]
fn a_target_that_is_believed_leads_without_what_is_committed() {
    let broken = breaks("transfer", Bug::CandidateBelieved);
    assert_eq!(broken, Some(Invariant::LeaderCompleteness.name()));
}

#[test]
fn a_lease_that_never_ends_answers_reads_too_late() {
    let broken = breaks("lease", Bug::LeaseNeverEnds);
    assert_eq!(broken, Some(Invariant::ReadFreshness.name()));
}

#[test]
fn a_slice_that_reaches_nothing_fails() {
    let mut slice = slice("transfer").expect("a slice of that name").clone();
    slice.budget.transfers = 0;
    let outcome = check(&Search { slice, bug: None }, MAX_STATES);
    assert!(outcome.complete && outcome.broken.is_none());
    assert_eq!(outcome.missed, ["leadership is handed over"]);
    assert!(!outcome.passed());
}
