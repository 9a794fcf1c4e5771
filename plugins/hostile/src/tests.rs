//! What can be tested without a sandbox around it.

use coracle_guest::{Environment, TestHost, check_restore};

use super::Hostile;

fn with(setting: &str) -> Result<TestHost<Hostile>, coracle_guest::Error> {
    TestHost::with(Environment::test().with_config(setting, "true"))
}

#[test]
fn count_shows_commands_that_succeeded() {
    let mut host = TestHost::<Hostile>::new().unwrap();
    let outcomes = host.apply_group(&["ok", "refuse", "unknown", "ok"]);
    let ok: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(host.query("count"), Ok(b"2".to_vec()));
}

#[test]
fn large_answers_two_mebibytes() {
    let mut host = TestHost::<Hostile>::new().unwrap();
    assert_eq!(host.apply("large").unwrap().len(), 2 << 20);
}

#[test]
fn init_err_refuses_the_start_only_if_it_is_true() {
    assert_eq!(
        with("init-err").unwrap_err().to_string(),
        "hostile was told to refuse its start"
    );
    let off = Environment::test().with_config("init-err", "false");
    assert!(TestHost::<Hostile>::with(off).is_ok());
}

#[test]
#[should_panic(expected = "hostile was told to panic")]
fn panic_panics() {
    let _ = TestHost::<Hostile>::new().unwrap().apply("panic");
}

#[test]
#[should_panic(expected = "hostile was told to panic in a query")]
fn query_trap_panics() {
    let _ = with("query-trap").unwrap().query("ok");
}

#[test]
#[should_panic(expected = "hostile was told to panic in a snapshot")]
fn snapshot_trap_panics() {
    let _ = with("snapshot-trap").unwrap().snapshot();
}

#[test]
#[should_panic(expected = "hostile was told to panic in a restore")]
fn restore_trap_panics() {
    let world = Environment::test().with_config("restore-trap", "true");
    let _ = TestHost::<Hostile>::restore_with(world, b"anything");
}

#[test]
fn snapshot_of_another_plugin_is_refused() {
    let error = TestHost::<Hostile>::restore(b"coraclkv\x01\0\0\0").unwrap_err();
    assert!(
        error.to_string().starts_with("not a snapshot of this kind"),
        "{error}"
    );
}

#[test]
fn hostile_goes_on_after_restore() {
    check_restore::<Hostile>(&["ok", "ok"], &["ok", "time", "random", "log"]);
}
