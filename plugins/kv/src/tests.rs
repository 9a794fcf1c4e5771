//! The plugin as a cluster sees it: bytes in, bytes out.

use coracle_guest::{TestHost, check_restore};

use super::Kv;

fn kv(commands: &[&str]) -> TestHost<Kv> {
    let mut host = TestHost::new().unwrap();
    for outcome in host.apply_group(commands) {
        outcome.unwrap();
    }
    host
}

fn refused(outcome: Result<Vec<u8>, Vec<u8>>) -> String {
    String::from_utf8(outcome.unwrap_err()).unwrap()
}

#[test]
fn get_answers_exactly_the_value_put() {
    let mut host = kv(&["put k  a value, with spaces "]);
    assert_eq!(host.query("get k"), Ok(b" a value, with spaces ".to_vec()));
    host.apply(b"put k \xff\0\n").unwrap();
    assert_eq!(host.apply("get k"), Ok(b"\xff\0\n".to_vec()));
}

#[test]
fn missing_keys_are_refused() {
    let mut host = kv(&["put k v", "del k"]);
    assert_eq!(refused(host.query("get k")), "no such key: \"k\"");
    assert_eq!(refused(host.apply("del k")), "no such key: \"k\"");
    assert_eq!(refused(host.apply("cas k v w")), "no such key: \"k\"");
}

#[test]
fn cas_changes_only_the_value_it_expects() {
    let mut host = kv(&["put k one"]);
    assert_eq!(host.apply("cas k one two words"), Ok(b"ok".to_vec()));
    assert_eq!(
        refused(host.apply("cas k one three")),
        "cas failed: \"k\" is \"two words\", not \"one\""
    );
    assert_eq!(host.query("get k"), Ok(b"two words".to_vec()));
}

#[test]
fn scan_lists_keys_in_order_from_first_to_before_last() {
    let host = kv(&["put c 3", "put a 1", "put d 4", "put b 2"]);
    assert_eq!(host.query("scan a d 10"), Ok(b"a 1\nb 2\nc 3".to_vec()));
    assert_eq!(host.query("scan a d 2"), Ok(b"a 1\nb 2".to_vec()));
    assert_eq!(
        host.query("scan * * 10"),
        Ok(b"a 1\nb 2\nc 3\nd 4".to_vec())
    );
    assert_eq!(host.query("scan b b 10"), Ok(Vec::new()));
    assert_eq!(host.query("scan x * 10"), Ok(Vec::new()));
}

#[test]
fn scan_that_answers_too_much_is_refused() {
    let mut host = kv(&[]);
    for key in 0..3 {
        host.apply(format!("put {key} {}", "x".repeat(200 << 10)))
            .unwrap();
    }
    assert!(host.query("scan * * 2").is_ok());
    assert!(refused(host.query("scan * * 3")).contains("more than 524288 bytes"));
}

#[test]
fn query_that_would_change_something_is_refused() {
    let host = kv(&["put k v"]);
    assert!(refused(host.query("del k")).contains("a query changes nothing"));
    assert_eq!(host.query("get k"), Ok(b"v".to_vec()));
}

#[test]
fn refused_commands_of_a_group_leave_the_others_alone() {
    let mut host = kv(&[]);
    let outcomes = host.apply_group(&["put a 1", "nonsense", "get b", "get a"]);
    let ok: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(outcomes[3], Ok(b"1".to_vec()));
}

#[test]
fn kv_goes_on_after_restore() {
    check_restore::<Kv>(
        &["put a 1", "put b two words", "put empty ", "del a"],
        &["cas b two x", "cas empty  y", "put a again", "scan * * 9"],
    );
}

#[test]
fn damaged_snapshots_are_refused_with_a_reason() {
    let good = kv(&["put a 1", "put b 2"]).snapshot().unwrap();
    let restore = |bytes: &[u8]| {
        TestHost::<Kv>::restore(bytes)
            .map(drop)
            .map_err(|e| e.to_string())
    };
    assert_eq!(restore(&good), Ok(()));
    for end in 0..good.len() {
        assert_eq!(
            restore(&good[..end]),
            Err("snapshot ends too soon".into()),
            "cut at {end}"
        );
    }
    let long = [&good[..], b"x"].concat();
    assert_eq!(
        restore(&long),
        Err("snapshot has at least 1 bytes after its end".into())
    );
    assert!(
        restore(b"what is this?")
            .unwrap_err()
            .starts_with("not a snapshot of this kind")
    );
    let mut newer = good.clone();
    newer[8] = 2;
    assert!(
        restore(&newer)
            .unwrap_err()
            .starts_with("snapshot format 2 is unknown")
    );
    let mut swapped = good;
    swapped[24] = b'c';
    assert_eq!(
        restore(&swapped),
        Err("snapshot has its keys out of order".into())
    );
}
