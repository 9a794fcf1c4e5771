//! Whatever a client can put into a request, and a node into its answer.

use bytes::Bytes;
use coracle::api::http::fuzzing;
use coracle_client::{
    ChangeParameters, ConfigChange, CreateFsm, CreateToken, Event, LeaderOrder, PlaceFsm, Problem,
    Restore, Status, Upgrade,
};
use coracle_fuzz::{Tape, input, within};
use tokio::runtime::Runtime;

const SLACK: usize = 64 << 10;

const HEADERS: &[&str] = &[
    "idempotency-key",
    "coracle-consistency",
    "coracle-max-staleness",
    "coracle-min-index",
    "coracle-timeout",
    "last-event-id",
    "range",
    "content-length",
];

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn headers() {
    let values = seeds(&[
        "a-key",
        "linearizable",
        "lease",
        "250ms",
        "18446744073709551615",
        "bytes=5-9",
        "bytes=0-18446744073709551615",
        "99999999999h",
    ]);
    fuzz!(20_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = (0..1 + tape.below(4))
            .map(|_| {
                let name = tape.pick(HEADERS).as_bytes().to_vec();
                (name, input(&mut tape, &values))
            })
            .collect();
        within(SLACK, || fuzzing::read_headers(&pairs));
    });
}

#[test]
fn uris() {
    let runtime = runtime();
    let uris = seeds(&[
        "/kv",
        "/v1/events?kinds=leader-changed,fsm-hosted&fsm=kv&from=7",
        "/%00%ff?fsm=%zz",
    ]);
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &uris);
        let text = String::from_utf8_lossy(&bytes);
        within(SLACK + 64 * text.len(), || {
            runtime.block_on(fuzzing::read_uri(&text))
        });
    });
}

const BODIES: &[&str] = &[
    r#"{"name":"kv","plugin":"0707070707070707070707070707070707070707070707070707070707070707","config":{"a":"b"},"limits":{"memory_bytes":1048576}}"#,
    r#"{"plugin":"0707070707070707070707070707070707070707070707070707070707070707"}"#,
    r#"{"image":"0707070707070707070707070707070707070707070707070707070707070707","fresh":true}"#,
    r#"{"change":"promote","role":"voter"}"#,
    r#"{"role":"learner","uses":3,"ttl_seconds":60}"#,
    r#"{"set":{"raft.heartbeat_ms":50}}"#,
    r#"{"to":2,"fsm":"kv"}"#,
    r#"{"nodes":[1,2]}"#,
    r#"{"type":"about:blank","title":"t","status":409,"code":"conflict","detail":"d","outcome":"unknown"}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

#[test]
fn bodies() {
    let runtime = runtime();
    let bodies = seeds(BODIES);
    fuzz!(10_000, 200, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let kind = tape.byte() % 11;
        let body = Bytes::from(input(&mut tape, &bodies));
        let allowed = SLACK + 64 * body.len();
        within(allowed, || {
            runtime.block_on(async {
                let body = body.clone();
                match kind {
                    0 => fuzzing::read_json::<CreateFsm>(body).await.is_some(),
                    1 => fuzzing::read_json::<Upgrade>(body).await.is_some(),
                    2 => fuzzing::read_json::<Restore>(body).await.is_some(),
                    3 => fuzzing::read_json::<ChangeParameters>(body).await.is_some(),
                    4 => fuzzing::read_json::<CreateToken>(body).await.is_some(),
                    5 => fuzzing::read_json::<ConfigChange>(body).await.is_some(),
                    6 => fuzzing::read_json::<LeaderOrder>(body).await.is_some(),
                    7 => fuzzing::read_json::<PlaceFsm>(body).await.is_some(),
                    8 => fuzzing::read_json::<Problem>(body).await.is_some(),
                    9 => fuzzing::read_json::<Status>(body).await.is_some(),
                    _ => fuzzing::read_json::<Event>(body).await.is_some(),
                }
            })
        });
    });
}
