use super::rig::{Rig, ok, outcome, spec};
use crate::fsm::WorkerState;
use crate::task::{Answer, HostEntry, Outcome, Report};
use crate::{Digest, FailureClass, MachineSpec};

/// Another plugin with these settings.
fn next(config: &[(&str, &str)]) -> MachineSpec {
    MachineSpec {
        plugin: Digest([2; 32]),
        ..spec(config)
    }
}

#[test]
fn an_upgrade_keeps_state_and_sessions() {
    let mut rig = Rig::created(&[]);
    rig.keyed(&[("put a 1", Some("k"))]);

    let activated = outcome(rig.host(HostEntry::Activate(next(&[("version", "v2:")]))));

    assert_eq!(activated, Outcome::Done);
    assert_eq!(rig.outcomes(&["get a"]), [ok("v2:1")]);
    assert_eq!(rig.ask("get a"), "v2:1");
    let retry = rig.keyed(&[("put a 1", Some("k"))]).remove(0);
    assert!(matches!(retry, Answer::Applied { replayed: true, .. }));
    assert_eq!(rig.status().snapshot_index, 3);
}

#[test]
fn an_upgrade_survives_a_restart() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.host(HostEntry::Activate(next(&[("version", "v2:")])));
    rig.commands(&["append a 2", "trap"]);
    let (before, history) = (rig.status(), rig.history());

    rig.restart();

    assert_eq!(rig.status(), before);
    assert_eq!(rig.history(), history);
    assert_eq!(before.spec, Some(next(&[("version", "v2:")])));
}

#[test]
fn an_upgrade_whose_restore_fails_keeps_the_old_one_and_says_why() {
    for (how, class, message) in [
        ("trap", Some(FailureClass::Trap), &b""[..]),
        ("refuse", None, &b"asked for"[..]),
    ] {
        let mut rig = Rig::created(&[]);
        rig.commands(&["put a 1"]);
        let history = rig.history();

        let failed = outcome(rig.host(HostEntry::Activate(next(&[("restore", how)]))));

        assert_eq!(
            failed,
            Outcome::HostEntryFailed {
                call: "restore".into(),
                class,
                message: message.to_vec(),
            }
        );
        assert_eq!(rig.history(), history);
        assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
        assert_eq!(rig.status().spec, Some(spec(&[])));
        assert_eq!(rig.last_snapshot(), None);
        assert_eq!(rig.twin().status(), rig.status());
    }
}

#[test]
fn an_upgrade_from_one_that_never_was_saved_keeps_it() {
    let mut rig = Rig::created(&[("snapshot", "trap")]);
    rig.commands(&["put a 1"]);

    let failed = outcome(rig.host(HostEntry::Activate(next(&[]))));

    assert_eq!(
        failed,
        Outcome::HostEntryFailed {
            call: "snapshot".into(),
            class: Some(FailureClass::Trap),
            message: Vec::new(),
        }
    );
    assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
}

#[test]
fn an_upgrade_from_one_that_cannot_be_saved_repeats_the_tail() {
    let mut rig = Rig::created(&[]);
    rig.host(HostEntry::Activate(next(&[("snapshot", "trap")])));
    rig.keyed(&[("put a 1", Some("k")), ("trap", None)]);
    rig.keyed(&[("put a 1", Some("k")), ("append a 2", None)]);
    rig.take_reports();

    let activated = outcome(rig.host(HostEntry::Activate(next(&[("version", "v2:")]))));

    assert_eq!(activated, Outcome::Done);
    assert!(
        rig.reports
            .iter()
            .any(|report| matches!(report, Report::CheckpointDue { urgent: true, .. }))
    );
    assert_eq!(rig.outcomes(&["trap", "get a"])[1], ok("v2:12"));
    assert_eq!(rig.ask("get a"), "v2:12");
    let history = rig.history();
    rig.worker.live = None;
    assert_eq!(rig.history(), history);
    assert_eq!(rig.ask("history"), history);
    assert_eq!(rig.twin().status(), rig.status());
    rig.checkpoint();
    assert_eq!(rig.outcomes(&["get a"]), [ok("v2:12")]);
}

#[test]
fn a_repeated_tail_begins_at_the_last_checkpoint() {
    let mut rig = Rig::created(&[]);
    rig.commands(&["put a 1"]);
    rig.host(HostEntry::Activate(next(&[("snapshot", "trap")])));
    rig.commands(&["append a 2"]);

    let activated = outcome(rig.host(HostEntry::Activate(spec(&[("version", "v3:")]))));
    rig.commands(&["append a 3", "trap"]);
    let (before, history) = (rig.status(), rig.history());
    rig.restart();

    assert_eq!(activated, Outcome::Done);
    assert_eq!(rig.ask("get a"), "v3:123");
    assert_eq!((rig.status(), rig.history()), (before, history));
}

#[test]
fn an_upgrade_whose_tail_fails_in_the_new_one_keeps_the_old_one() {
    let mut rig = Rig::created(&[]);
    rig.host(HostEntry::Activate(next(&[("snapshot", "trap")])));
    rig.commands(&["put a 1"]);

    let failed = outcome(rig.host(HostEntry::Activate(next(&[("apply", "trap")]))));

    assert_eq!(
        failed,
        Outcome::HostEntryFailed {
            call: "apply".into(),
            class: Some(FailureClass::Trap),
            message: Vec::new(),
        }
    );
    assert_eq!(rig.outcomes(&["get a"]), [ok("1")]);
}

#[test]
fn an_upgrade_without_its_plugin_pauses_and_goes_on() {
    let mut rig = Rig::created(&[]);
    let plugin = next(&[]).plugin;
    rig.machines.set_present(plugin, false);
    let position = rig.append_host(&HostEntry::Activate(next(&[])));
    let none = rig.apply(position, 1);
    let paused = rig.status();

    rig.machines.set_present(plugin, true);
    let answers = rig.run();

    assert_eq!(none, []);
    assert_eq!(paused.state, WorkerState::WaitingForPlugin { plugin });
    assert_eq!(paused.spec, Some(spec(&[])));
    assert_eq!(outcome(answers[0].1.clone()), Outcome::Done);
    assert_eq!(rig.status().spec, Some(next(&[])));
}
