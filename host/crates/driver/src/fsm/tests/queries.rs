use std::time::Duration;

use coracle_proto::Instant;

use super::rig::{Rig, spec};
use crate::fsm::{QueryError, WorkerOptions};
use crate::task::{HostEntry, Outcome};
use crate::{FailureClass, Reply};

#[test]
fn a_reader_sees_what_the_live_instance_does_and_leaves_it_alone() {
    let mut rig = Rig::created(&[]);
    for round in 0..5 {
        rig.keyed(&[
            ("append a 1", Some("k")),
            ("trap", None),
            ("append a 2", None),
        ]);
        let before = rig.history();

        let (index, _) = rig.query("get a").expect("works");

        assert_eq!(index, rig.status().applied);
        assert_eq!(rig.ask("history"), before, "round {round}");
        assert_eq!(rig.history(), before);
        if round == 2 {
            rig.checkpoint();
        }
    }
    assert_eq!(rig.reader.status().differences, 0);
    assert_eq!(rig.reader.status().starts, 2);
}

#[test]
fn a_query_sees_the_time_of_the_applied_index() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    assert_eq!(rig.ask("time"), "2000");
}

#[test]
fn a_query_asks_for_no_more_than_is_applied() {
    let mut rig = Rig::created(&[]);
    assert_eq!(
        rig.query_at(Instant(0), 5, "len"),
        Err(QueryError::Behind {
            applied: 1,
            wanted: 5
        })
    );
}

#[test]
fn a_query_without_a_state_machine_is_refused_with_the_reason() {
    let mut rig = Rig::empty(WorkerOptions::default());
    assert!(matches!(
        rig.query("len"),
        Err(QueryError::Unavailable { .. })
    ));
    rig.host(HostEntry::Create(spec(&[("init", "trap")])));
    assert!(matches!(
        rig.query("len"),
        Err(QueryError::Unavailable { reason }) if reason.contains("init")
    ));
}

#[test]
fn a_query_that_fails_is_that_clients_error_and_rebuilds_are_rationed() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    let failed = |rig: &mut Rig| {
        matches!(
            rig.query("fuel"),
            Err(QueryError::Failed {
                class: FailureClass::Fuel,
                ..
            })
        )
    };

    assert!(failed(&mut rig) && failed(&mut rig) && failed(&mut rig));
    let busy = rig.query("get a");
    let later = rig.query_at(Instant(1_000_000_000), 0, "get a");

    assert!(matches!(busy, Err(QueryError::Busy { .. })));
    assert_eq!(later, Ok((2, Reply::Ok(b"1".to_vec()))));
    assert_eq!(rig.outcomes(&["get a"]), [Outcome::Ok(b"1".to_vec())]);
}

#[test]
fn a_twin_that_fails_where_the_live_one_did_not_is_counted_and_nothing_else() {
    let mut rig = Rig::created(&[]);
    let snapshot = rig.checkpoint();
    // Only what readers see of it: the live instance is not restored again.
    if let Some(origin) = &mut rig.worker.origin {
        origin.spec.config = vec![("restore".into(), "trap".into())];
    }
    rig.run();

    assert!(matches!(
        rig.query("len"),
        Err(QueryError::Unavailable { .. })
    ));
    assert_eq!(rig.reader.status().differences, 1);
    assert_eq!(rig.status().snapshot_index, snapshot.last.index);
}

#[test]
fn a_reader_whose_entries_are_gone_starts_again_from_the_new_checkpoint() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.ask("get a");
    rig.commands(&["append a 2"]);
    let snapshot = rig.checkpoint();
    rig.log.compact(snapshot.last.index);
    rig.commands(&["append a 3"]);

    assert_eq!(rig.ask("get a"), "123");
    assert_eq!(rig.reader.status().differences, 0);
}

#[test]
fn a_reader_without_its_snapshot_file_asks_to_try_again() {
    let mut rig = Rig::created(&[]);
    rig.checkpoint();
    rig.snapshots.remove_all();

    assert!(matches!(rig.query("len"), Err(QueryError::Busy { .. })));
}

#[test]
fn an_idle_twin_is_dropped_and_made_again_without_being_rationed() {
    let mut rig = Rig::created(&[]);
    let minute = Duration::from_secs(60);
    for round in 0..10u64 {
        let now = Instant(round * 120_000_000_000);
        rig.query_at(now, 0, "len").expect("works");
        assert!(
            !rig.reader
                .drop_if_idle(now + Duration::from_secs(1), minute)
        );
        assert!(rig.reader.drop_if_idle(now + minute, minute));
    }
    assert_eq!(rig.reader.status().starts, 10);
}

#[test]
fn a_retired_fsm_answers_no_queries() {
    let mut rig = Rig::created(&[]);
    rig.ask("len");
    rig.host(HostEntry::Retire);
    assert!(matches!(
        rig.query("len"),
        Err(QueryError::Unavailable { reason }) if reason.contains("retired")
    ));
}
