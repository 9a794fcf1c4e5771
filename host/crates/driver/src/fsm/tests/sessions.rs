use super::rig::{Rig, ok, outcome};
use crate::FailureClass;
use crate::task::{Answer, NotApplied, Outcome};

fn replay_of(answer: &Answer) -> Option<(u64, Outcome)> {
    match answer {
        Answer::Applied {
            index,
            outcome,
            replayed: true,
        } => Some((*index, outcome.clone())),
        _ => None,
    }
}

#[test]
fn a_retry_has_no_second_effect_and_gets_the_first_outcome() {
    let mut rig = Rig::created(&[]);

    let first = rig.keyed(&[("append a 1", Some("k"))]).remove(0);
    let retry = rig.keyed(&[("append a 1", Some("k"))]).remove(0);

    assert_eq!(outcome(first), ok("1"));
    assert_eq!(replay_of(&retry), Some((2, ok("1"))));
    assert_eq!(rig.ask("get a"), "1");
}

#[test]
fn a_retry_in_the_same_group_is_cut() {
    let mut rig = Rig::created(&[]);

    let answers = rig.keyed(&[
        ("append a 1", Some("k")),
        ("append a 1", Some("k")),
        ("append a 2", None),
    ]);

    assert_eq!(replay_of(&answers[1]), Some((2, ok("1"))));
    assert_eq!(outcome(answers[2].clone()), ok("12"));
}

#[test]
fn a_key_with_another_body_is_refused_here_and_later() {
    let mut rig = Rig::created(&[]);

    let same = rig.keyed(&[("append a 1", Some("k")), ("append a 2", Some("k"))]);
    let later = rig.keyed(&[("append a 3", Some("k"))]);

    assert_eq!(same[1], Answer::NotApplied(NotApplied::KeyReused));
    assert_eq!(later, [Answer::NotApplied(NotApplied::KeyReused)]);
    assert_eq!(rig.ask("get a"), "1");
}

#[test]
fn a_failure_is_remembered_like_any_outcome() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("trap", Some("k")), ("put a 1", None)]);

    let retry = rig.keyed(&[("trap", Some("k"))]).remove(0);

    assert_eq!(
        replay_of(&retry),
        Some((2, Outcome::Failed(FailureClass::Trap)))
    );
    assert_eq!(rig.status().failures, 1);
}

#[test]
fn retries_are_recognised_after_a_snapshot_a_restart_and_in_the_tail() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("append a 1", Some("old")), ("trap", Some("trap"))]);
    rig.checkpoint();
    rig.keyed(&[("append a 2", Some("new"))]);

    rig.restart();
    let answers = rig.keyed(&[
        ("append a 1", Some("old")),
        ("append a 2", Some("new")),
        ("trap", Some("trap")),
        ("append a 9", Some("old")),
    ]);

    assert_eq!(replay_of(&answers[0]), Some((2, ok("1"))));
    assert_eq!(replay_of(&answers[1]), Some((4, ok("12"))));
    assert_eq!(
        replay_of(&answers[2]),
        Some((2, Outcome::Failed(FailureClass::Trap)))
    );
    assert_eq!(answers[3], Answer::NotApplied(NotApplied::KeyReused));
    assert_eq!(rig.ask("get a"), "12");
}
