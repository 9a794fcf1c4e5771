//! The plugin as a cluster sees it, and the upgrade from kv.

use coracle_guest::{TestHost, check_restore};
use kv::Kv;

use super::KvV2;

fn after<M: coracle_guest::StateMachine>(commands: &[&str]) -> TestHost<M> {
    let mut host = TestHost::new().unwrap();
    for outcome in host.apply_group(commands) {
        outcome.unwrap();
    }
    host
}

#[test]
fn ver_counts_the_writes_of_a_key() {
    let mut host = after::<KvV2>(&["put k a", "put k b", "cas k b c"]);
    assert_eq!(host.query("ver k"), Ok(b"3".to_vec()));
    host.apply("cas k wrong d").unwrap_err();
    assert_eq!(host.apply("ver k"), Ok(b"3".to_vec()));
    host.apply("del k").unwrap();
    assert_eq!(host.query("ver k"), Err(b"no such key: \"k\"".to_vec()));
    host.apply("put k e").unwrap();
    assert_eq!(host.query("ver k"), Ok(b"1".to_vec()));
}

#[test]
fn kv_commands_answer_as_they_do_in_kv() {
    let commands = [
        "put a 1",
        "put b two words",
        "get a",
        "get none",
        "del none",
        "cas a 0 2",
        "cas a 1 2",
        "scan * * 9",
        "scan b a 1",
        "put k",
        "del b",
        "scan a z 1",
    ];
    let (mut old, mut new) = (after::<Kv>(&[]), after::<KvV2>(&[]));
    for command in commands {
        assert_eq!(old.apply(command), new.apply(command), "{command}");
        assert_eq!(old.query(command), new.query(command), "query {command}");
    }
}

#[test]
fn kv_snapshot_is_restored_and_counting_begins() {
    let old = after::<Kv>(&["put a 1", "put a 2", "put b two words"]);
    let mut new = TestHost::<KvV2>::restore(&old.snapshot().unwrap()).unwrap();
    assert_eq!(new.query("scan * * 9"), Ok(b"a 2\nb two words".to_vec()));
    assert_eq!(new.query("ver a"), Ok(b"1".to_vec()));
    new.apply("put a 3").unwrap();
    assert_eq!(new.query("ver a"), Ok(b"2".to_vec()));
}

#[test]
fn kv_refuses_the_new_layout() {
    let new = after::<KvV2>(&["put a 1"]);
    let error = TestHost::<Kv>::restore(&new.snapshot().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "snapshot format 2 is unknown to this version of the plugin"
    );
}

#[test]
fn kv_v2_goes_on_after_restore() {
    check_restore::<KvV2>(
        &["put a 1", "put a 2", "put b two words", "put c x", "del c"],
        &["ver a", "cas a 2 3", "ver a", "put c y", "scan * * 9"],
    );
}

#[test]
fn damaged_snapshots_are_refused_with_a_reason() {
    let good = after::<KvV2>(&["put a 1", "put b 2"]).snapshot().unwrap();
    for end in 0..good.len() {
        let error = TestHost::<KvV2>::restore(&good[..end]).unwrap_err();
        assert_eq!(error.to_string(), "snapshot ends too soon", "cut at {end}");
    }
    let mut newer = good;
    newer[8] = 3;
    let error = TestHost::<KvV2>::restore(&newer).unwrap_err();
    assert!(
        error.to_string().starts_with("snapshot format 3"),
        "{error}"
    );
}
