//! Any bytes on a connection to a node, read by the HTTP server itself.

use std::sync::Arc;

use coracle::api::http::{Limits, fuzzing};
use coracle_fuzz::{Tape, damaged, peak_bytes};

use crate::http_service::Echo;

/// Bytes of one command, query or plugin here.
const BODY_BYTES: usize = 4 << 10;

/// Memory of one connection: a head of 64 KiB and how it is kept, bodies, the pipes, the router.
const CONNECTION_BYTES: usize = 1 << 20;

/// Requests on one connection.
const MAX_REQUESTS: usize = 4;

/// Pieces in which they arrive.
const MAX_PIECES: usize = 4;

/// Bytes of all answers: of each a head and the body that was sent.
const MAX_SAID: usize = 256 << 10;

const REQUESTS: &[&str] = &[
    "POST /v1/fsms/kv/apply HTTP/1.1\r\nhost: n1\r\ncontent-length: 9\r\n\r\nput a one",
    "POST /v1/fsms/kv/apply HTTP/1.1\r\nhost: n1\r\nidempotency-key: k\r\ncoracle-timeout: 1s\r\ntransfer-encoding: chunked\r\n\r\n3\r\nput\r\n4;x=y\r\n a 1\r\n0\r\n\r\n",
    "POST /v1/fsms/kv/query HTTP/1.1\r\ncoracle-consistency: lease\r\ncontent-length: 5\r\n\r\nget a",
    "PUT /v1/fsms/kv HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
    "GET /v1/events?kinds=leader-changed&from=7 HTTP/1.1\r\nlast-event-id: 3\r\n\r\n",
    "GET /v1/fsms/kv/snapshots/9 HTTP/1.1\r\nrange: bytes=5-9\r\nconnection: close\r\n\r\n",
    "PUT /v1/plugins/0707070707070707070707070707070707070707070707070707070707070707 HTTP/1.1\r\ncontent-length: 4294967295\r\n\r\nx",
    "POST /v1/members/3/promote HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    "HEAD /livez HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "DELETE /v1/fsms/%6b%76 HTTP/1.1\r\n\r\n",
    "GET /metrics HTTP/1.1\r\naccept-encoding: gzip\r\n\r\n",
];

/// Requests that are too much, each in its own way.
fn excess(tape: &mut Tape<'_>) -> Vec<u8> {
    let much = 1 << tape.below(18);
    match tape.byte() % 4 {
        0 => format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(much)),
        1 => format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(much / 6)),
        2 => format!(
            "POST /v1/fsms/kv/apply HTTP/1.1\r\ncontent-length: {much}\r\n\r\n{}",
            "a".repeat(much)
        ),
        _ => format!(
            "POST /v1/fsms/kv/apply HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{}",
            "1\r\na\r\n".repeat(much / 6)
        ),
    }
    .into_bytes()
}

/// What a client says, and where it is cut.
fn pieces(tape: &mut Tape<'_>) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    for _ in 0..1 + tape.below(MAX_REQUESTS) {
        let request = match tape.byte() {
            ..32 => tape.bytes(64).to_vec(),
            32..64 => excess(tape),
            _ => {
                let good = tape.pick(REQUESTS).as_bytes().to_vec();
                damaged(tape, good)
            }
        };
        said.extend(request);
    }
    let mut pieces = Vec::new();
    for _ in 1..MAX_PIECES {
        let rest = said.split_off(tape.below(said.len() + 1));
        pieces.push(std::mem::replace(&mut said, rest));
    }
    pieces.push(said);
    pieces
}

#[test]
fn connection() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().expect("a runtime");
    let limits = Limits {
        command_bytes: BODY_BYTES,
        plugin_bytes: BODY_BYTES,
        ..Limits::default()
    };
    let answers = std::cell::Cell::new(0_u64);
    fuzz!(1_000, 300, |tape: &[u8]| {
        let pieces = pieces(&mut Tape::new(tape));
        let (said, peak) = peak_bytes(|| {
            let talk = fuzzing::converse(Arc::new(Echo), limits, &pieces, MAX_SAID);
            runtime.block_on(talk)
        });
        assert!(peak <= CONNECTION_BYTES, "{peak} bytes of memory");
        assert!(said.len() < MAX_SAID, "it goes on talking");
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1."),
            "an answer, or a closed connection"
        );
        answers.set(answers.get() + u64::from(!said.is_empty()));
    });
    assert!(answers.get() > 0, "some requests are answered");
}
