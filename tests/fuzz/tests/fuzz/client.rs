//! Whatever a server can say to a client.

use std::cell::Cell;

use bytes::Bytes;
use coracle_client::fuzzing::{self, Said};
use coracle_client::{
    ClientError, Code, ConfigView, Event, FsmInfo, Happening, MemberList, Outcome, Problem,
    SnapshotList, Status, TokenList,
};
use coracle_fuzz::{Tape, damaged, peak_bytes, within};
use tokio::runtime::Runtime;

/// Memory of one connection: what hyper reads ahead (up to 400 KiB, grown by doubling), the pipe.
const CONNECTION_BYTES: usize = 1 << 20;

/// Bytes of memory for each that the server says, at most: numbers and empty lists are small on
/// the wire.
const BYTES_A_BYTE: usize = 64;

/// Pieces in which it is said.
const MAX_PIECES: usize = 4;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// In pieces that are cut anywhere, over a pipe of any width.
fn cut(tape: &mut Tape<'_>, mut said: Vec<u8>) -> (Vec<Vec<u8>>, usize) {
    let pipe = 1 + tape.below(200);
    let mut pieces = Vec::new();
    for _ in 1..MAX_PIECES {
        let rest = said.split_off(tape.below(said.len() + 1));
        pieces.push(std::mem::replace(&mut said, rest));
    }
    pieces.push(said);
    (pieces, pipe)
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The same body, so many bytes at a time.
fn chunked(status: &str, headers: &str, body: &[u8], size: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}transfer-encoding: chunked\r\n\r\n");
    let mut said = head.into_bytes();
    for chunk in body.chunks(size.max(1)) {
        said.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        said.extend(chunk);
        said.extend(b"\r\n");
    }
    said.extend(b"0\r\n\r\n");
    said
}

/// Sometimes what a server would never say, mostly a good response damaged. Whether it is good.
fn said(tape: &mut Tape<'_>, good: &[Vec<u8>]) -> (Vec<u8>, Option<usize>) {
    if tape.byte() < 24 {
        return (tape.rest().to_vec(), None);
    }
    let which = tape.below(good.len());
    if tape.flag() {
        return (good[which].clone(), Some(which));
    }
    (damaged(tape, good[which].clone()), None)
}

fn problem() -> Problem {
    let mut problem = Problem::new(Code::Refused, "no such key").with_reply(b"no".to_vec());
    problem.index = Some(9);
    problem
}

const PROBLEM: &str = "content-type: application/problem+json\r\n";

#[test]
fn replies() {
    let runtime = runtime();
    let refused = serde_json::to_string(&problem()).expect("a problem is json");
    let good = [
        response("200 OK", "coracle-index: 9\r\n", "the reply"),
        chunked("200 OK", "coracle-index: 9\r\n", b"the reply", 4),
        response("422 no", PROBLEM, &refused),
        chunked("422 no", PROBLEM, refused.as_bytes(), 7),
        response("503 no", "", "{\"ready\":false}"),
        response("500 no", "", "<html>"),
        response("302 no", "location: /there\r\n", ""),
    ];
    let seen = Cell::new(0_u64);
    fuzz!(4_000, 300, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let (bytes, which) = said(&mut tape, &good);
        let allowed = CONNECTION_BYTES + BYTES_A_BYTE * bytes.len();
        let (pieces, pipe) = cut(&mut tape, bytes);
        let said = Said {
            pieces: &pieces,
            pipe,
        };
        let heard = within(allowed, || runtime.block_on(fuzzing::reply(&said)));
        match (which, &heard) {
            (Some(0 | 1), heard) => {
                assert_eq!(*heard, Ok((Some(9), Bytes::from_static(b"the reply"))));
            }
            (Some(2 | 3), Err(ClientError::Problem(heard))) => assert_eq!(**heard, problem()),
            (Some(4), Ok(_)) | (Some(5 | 6), Err(ClientError::Protocol(_))) => {}
            (Some(which), heard) => panic!("response {which} was read as {heard:?}"),
            (None, Err(error)) => assert!(!error.to_string().is_empty(), "it says why"),
            (None, Ok(_)) => seen.set(seen.get() + 1),
        }
    });
    assert!(seen.get() > 0, "some damage goes unseen, as in a body");
}

#[test]
fn documents() {
    let runtime = runtime();
    let documents = [
        r#"{"view":1,"cluster":"c","leader":1,"term":2,"index":9,"tolerance":0,"pending":[],"members":[{"node":1,"role":"voter","quic":"a","http":"b","priority":4,"leads":true,"reachable":true,"fsms":1}]}"#,
        r#"{"node":1,"settings":[{"key":"a","value":[[[1]]],"origin":"file","hot":true}]}"#,
        r#"{"node":1,"snapshots":[{"index":9,"term":1,"time":1,"group":1,"plugin":"0707070707070707070707070707070707070707070707070707070707070707","bytes":1,"digest":"0707070707070707070707070707070707070707070707070707070707070707"}]}"#,
        r#"{"tokens":[]}"#,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ];
    let good = documents.map(|document| response("200 OK", "", document));
    fuzz!(4_000, 300, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let kind = tape.byte() % 6;
        let (bytes, _) = said(&mut tape, &good);
        let allowed = CONNECTION_BYTES + BYTES_A_BYTE * bytes.len();
        let (pieces, pipe) = cut(&mut tape, bytes);
        let said = &Said {
            pieces: &pieces,
            pipe,
        };
        let error = within(allowed, || {
            runtime.block_on(async {
                match kind {
                    0 => fuzzing::json::<MemberList>(said).await.err(),
                    1 => fuzzing::json::<ConfigView>(said).await.err(),
                    2 => fuzzing::json::<SnapshotList>(said).await.err(),
                    3 => fuzzing::json::<TokenList>(said).await.err(),
                    4 => fuzzing::json::<Status>(said).await.err(),
                    _ => fuzzing::json::<FsmInfo>(said).await.err(),
                }
            })
        });
        assert!(error.is_none_or(|error| error.outcome() != Outcome::Applied));
    });
}

fn event(id: u64, what: Happening) -> Event {
    Event {
        id,
        time_ms: 1,
        node: 1,
        group: Some(3),
        fsm: Some("kv".into()),
        what,
    }
}

fn stream(events: &[Event]) -> String {
    let lines = events.iter().map(|event| {
        let data = serde_json::to_string(event).expect("an event is json");
        format!("id: {}\ndata: {data}\n\n", event.id)
    });
    let lines: String = lines.collect();
    format!(": here\n\n{lines}event: goaway\ndata:\n\n")
}

#[test]
fn event_streams() {
    let runtime = runtime();
    let events = [
        event(7, Happening::FsmRemoved),
        event(
            8,
            Happening::FsmHalted {
                reason: "line\nnext".into(),
            },
        ),
        event(9, Happening::Lagged { missed: Some(4) }),
    ];
    let text = stream(&events);
    let kind = "content-type: text/event-stream\r\n";
    let refused = serde_json::to_string(&problem()).expect("a problem is json");
    let good = [
        response("200 OK", kind, &text),
        chunked("200 OK", kind, text.as_bytes(), 1),
        chunked("200 OK", kind, text.as_bytes(), 50),
        response("422 no", PROBLEM, &refused),
    ];
    fuzz!(4_000, 300, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let (bytes, which) = said(&mut tape, &good);
        let allowed = CONNECTION_BYTES + BYTES_A_BYTE * bytes.len();
        let (pieces, pipe) = cut(&mut tape, bytes);
        let said = Said {
            pieces: &pieces,
            pipe,
        };
        let heard = within(allowed, || runtime.block_on(fuzzing::events(&said)));
        match (which, heard) {
            (Some(..3), heard) => assert_eq!(heard, Ok((events.to_vec(), Ok(())))),
            (Some(_), Err(ClientError::Problem(heard))) => assert_eq!(*heard, problem()),
            (Some(_), heard) => panic!("a problem was read as {heard:?}"),
            (None, Err(error) | Ok((_, Err(error)))) => {
                assert!(!error.to_string().is_empty(), "it says why");
            }
            (None, Ok((_, Ok(())))) => {}
        }
    });
}

/// Bytes of a body that is a bomb.
const BOMB: usize = 128 << 10;

#[test]
fn body_bombs() {
    let runtime = runtime();
    fuzz!(12, 8, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let size = 1 + tape.below(4);
        let pieces = [chunked("200 OK", "", &[b'a'; BOMB], size)];
        let said = Said {
            pieces: &pieces,
            pipe: 1 << tape.below(17),
        };
        let (heard, peak) = peak_bytes(|| runtime.block_on(fuzzing::reply(&said)));
        assert_eq!(heard.map(|(_, body)| body.len()), Ok(BOMB));
        let allowed = CONNECTION_BYTES + 4 * BOMB;
        assert!(peak <= allowed, "{peak} bytes for {BOMB} in {size} each");
    });
}

/// The longest line that is taken, a few times over.
const LINE_BYTES: usize = 4 << 20;

#[test]
fn line_bombs() {
    let runtime = runtime();
    fuzz!(12, 8, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let size = 1 << (8 + tape.below(9));
        let pieces = [chunked("200 OK", "", &vec![b'a'; 2 * LINE_BYTES], size)];
        let said = Said {
            pieces: &pieces,
            pipe: 64 << 10,
        };
        let (heard, peak) = peak_bytes(|| runtime.block_on(fuzzing::events(&said)));
        let (events, ended) = heard.expect("a stream");
        assert!(events.is_empty() && matches!(ended, Err(ClientError::Protocol(_))));
        assert!(peak <= CONNECTION_BYTES + LINE_BYTES, "{peak} bytes");
    });
}
