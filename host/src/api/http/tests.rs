//! The HTTP layer over real loopback connections, with a service that is a few lines long.

mod fake;
mod operate;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_client::{
    Client, ClientError, Code, CreateFsm, DigestHex, Endpoint, LimitOverrides, Outcome, Problem,
    QueryOptions,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::serve::DRAIN_TIMEOUT;
use super::{Limits, router, serve};
use crate::metrics::Metrics;
use fake::Fake;

/// A listener on a free port, served until dropped.
struct Server {
    address: std::net::SocketAddr,
    service: Arc<Fake>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let service = Arc::new(Fake::default());
        let metrics = Arc::new(Metrics::new());
        let bounds = watch::Sender::new(limits);
        let router = router(Arc::<Fake>::clone(&service), bounds.subscribe(), metrics);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router, limits, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            service,
            stop: Some(stop),
            task,
        }
    }

    fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.address)
            .parse()
            .expect("endpoint")
    }

    fn client(&self) -> Client {
        Client::builder(vec![self.endpoint()])
            .build()
            .expect("client")
    }

    /// One request as bytes on a connection of its own, and the whole answer.
    async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        Answer(String::from_utf8(answer).expect("ascii"))
    }

    /// A request with a body and headers like `Name: value`.
    async fn request(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let mut text = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers {
            text = format!("{text}{header}\r\n");
        }
        self.raw(&format!(
            "{text}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }
}

struct Answer(String);

impl Answer {
    fn status(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    fn problem(&self) -> Problem {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.0
        );
        let problem: Problem = serde_json::from_str(self.body()).expect(&self.0);
        assert_eq!(problem.status.to_string(), self.status());
        problem
    }
}

fn client_problem(error: ClientError) -> Problem {
    error
        .problem()
        .cloned()
        .unwrap_or_else(|| panic!("no problem: {error}"))
}

#[tokio::test]
async fn an_apply_answers_the_guests_bytes_and_the_index() {
    let server = Server::start(Limits::default()).await;
    let answer = server
        .request("POST /v1/fsms/kv/apply", &[], "put a 1")
        .await;
    assert_eq!((answer.status(), answer.body()), ("200", "done put a 1"));
    assert_eq!(answer.header("coracle-index"), Some("1"));
    assert_eq!(answer.header("coracle-term"), Some("7"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
}

#[tokio::test]
async fn the_same_key_is_applied_once_and_says_so() {
    let server = Server::start(Limits::default()).await;
    let client = server.client();
    let first = client
        .apply_with_key("kv", "put a 1".into(), "k")
        .await
        .expect("first");
    let again = client
        .apply_with_key("kv", "put a 1".into(), "k")
        .await
        .expect("again");
    assert_eq!((first.index, first.replayed), (1, false));
    assert_eq!((again.index, again.replayed), (1, true));
    assert_eq!(first.reply, again.reply);

    let other = client.apply_with_key("kv", "put a 2".into(), "k").await;
    let problem = client_problem(other.expect_err("reused"));
    assert_eq!((problem.code, problem.status), (Code::KeyReused, 409));
}

#[tokio::test]
async fn a_refusal_carries_the_guests_bytes_text_or_not() {
    let server = Server::start(Limits::default()).await;
    let answer = server
        .request("POST /v1/fsms/kv/apply", &[], "refuse no such key")
        .await;
    let problem = answer.problem();
    assert_eq!((problem.status, problem.code), (422, Code::Refused));
    assert_eq!(
        (problem.outcome, problem.retryable),
        (Outcome::Applied, false)
    );
    assert_eq!(problem.reply.as_deref(), Some("no such key"));
    assert_eq!(answer.header("coracle-index"), Some("1"));

    let bytes = Bytes::from_static(b"refuse \xff\x00");
    let error = server
        .client()
        .apply("kv", bytes)
        .await
        .expect_err("refused");
    assert_eq!(
        client_problem(error).reply_bytes().as_deref(),
        Some(&b"\xff\x00"[..])
    );
}

#[tokio::test]
async fn a_refused_query_was_not_applied() {
    let server = Server::start(Limits::default()).await;
    let options = QueryOptions::default();
    let error = server
        .client()
        .query("kv", "refuse no".into(), options)
        .await
        .expect_err("no");
    let problem = client_problem(error);
    assert_eq!(
        (problem.code, problem.outcome),
        (Code::Refused, Outcome::NotApplied)
    );
}

#[tokio::test]
async fn nothing_is_in_doubt_about_a_query_whose_answer_was_lost() {
    let server = Server::start(Limits::default()).await;
    let answer = server.request("POST /v1/fsms/kv/query", &[], "lose").await;
    let problem = answer.problem();
    assert_eq!(
        (problem.status, problem.code, problem.outcome),
        (503, Code::Unavailable, Outcome::NotApplied)
    );
}

#[tokio::test]
async fn a_list_that_takes_too_long_ends_in_the_clients_time() {
    let server = Server::start(Limits::default()).await;
    server.service.lose_leader();
    let answer = server
        .request("GET /v1/plugins", &["Coracle-Timeout: 10ms"], "")
        .await;
    let problem = answer.problem();
    assert_eq!(
        (problem.code, problem.outcome),
        (Code::Timeout, Outcome::NotApplied)
    );
}

#[tokio::test]
async fn query_headers_reach_the_service() {
    let server = Server::start(Limits::default()).await;
    let headers = [
        "Coracle-Consistency: stale",
        "Coracle-Min-Index: 12",
        "Coracle-Timeout: 2s",
    ];
    let answer = server
        .request("POST /v1/fsms/kv/query", &headers, "get a")
        .await;
    assert_eq!(
        (answer.status(), answer.body()),
        ("200", "Stale Some(12) 2s get a")
    );
    let answer = server.request("POST /v1/fsms/kv/query", &[], "get a").await;
    assert_eq!(answer.body(), "Linearizable None 5s get a");
}

#[tokio::test]
async fn a_bad_header_is_named_with_its_value() {
    let server = Server::start(Limits::default()).await;
    let long = format!("Idempotency-Key: {}", "k".repeat(129));
    for (header, name, value) in [
        (
            "Coracle-Consistency: eventual",
            "coracle-consistency",
            "eventual",
        ),
        ("Coracle-Min-Index: -1", "coracle-min-index", "-1"),
        ("Coracle-Min-Index: +1", "coracle-min-index", "+1"),
        (
            "Coracle-Min-Index: 99999999999999999999",
            "coracle-min-index",
            "9999",
        ),
        ("Coracle-Timeout: soon", "coracle-timeout", "soon"),
        ("Coracle-Timeout: 0s", "coracle-timeout", "0s"),
        ("Coracle-Timeout: 999m", "coracle-timeout", "999m"),
        (
            "Coracle-Timeout: 1s\r\nCoracle-Timeout: 2s",
            "coracle-timeout",
            "more than once",
        ),
    ] {
        let problem = server
            .request("POST /v1/fsms/kv/query", &[header], "x")
            .await
            .problem();
        assert_eq!(problem.code, Code::BadRequest);
        assert!(problem.detail.contains(name), "{}", problem.detail);
        assert!(problem.detail.contains(value), "{}", problem.detail);
    }
    for header in ["Idempotency-Key: a b", "Idempotency-Key:", long.as_str()] {
        let problem = server
            .request("POST /v1/fsms/kv/apply", &[header], "x")
            .await
            .problem();
        assert!(
            problem.detail.contains("idempotency-key"),
            "{}",
            problem.detail
        );
    }
    assert_eq!(server.service.applies(), 0);
}

#[tokio::test]
async fn unknown_paths_methods_and_names_are_problems() {
    let server = Server::start(Limits::default()).await;
    let problem = server.request("GET /nowhere", &[], "").await.problem();
    assert_eq!(problem.code, Code::NotFound);
    assert!(problem.detail.contains("/nowhere"));
    for line in [
        "GET /v1/fsms/kv/apply",
        "POST /v1/status",
        "POST /livez",
        "PATCH /v1/fsms",
    ] {
        let problem = server.request(line, &[], "").await.problem();
        assert_eq!(
            (problem.status, problem.code),
            (405, Code::MethodNotAllowed),
            "{line}"
        );
    }
    for line in [
        "POST /v1/fsms/KV/apply",
        "PUT /v1/fsms/a.b",
        "GET /v1/fsms/%ff",
    ] {
        let problem = server.request(line, &[], "").await.problem();
        assert_eq!(problem.code, Code::BadRequest, "{line}");
    }
    let problem = server
        .request("POST /v1/fsms/none/apply", &[], "")
        .await
        .problem();
    assert_eq!(problem.code, Code::NotFound);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let limits = Limits {
        command_bytes: 1000,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let exact = server
        .request("POST /v1/fsms/kv/apply", &[], &"x".repeat(1000))
        .await;
    assert_eq!(exact.status(), "200");

    let problem = server
        .request("POST /v1/fsms/kv/apply", &[], &"x".repeat(1001))
        .await
        .problem();
    assert_eq!((problem.status, problem.code), (413, Code::TooLarge));
    assert!(problem.detail.contains("1001") && problem.detail.contains("1000"));

    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let head = "POST /v1/fsms/kv/apply HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    assert_eq!(server.raw(&chunked).await.problem().code, Code::TooLarge);
    assert_eq!(server.service.applies(), 1);
}

#[tokio::test]
async fn a_large_upload_over_the_limit_still_hears_why() {
    let limits = Limits {
        plugin_bytes: 1 << 20,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let error = server
        .client()
        .put_plugin(vec![0; 8 << 20].into(), |_| ())
        .await;
    assert_eq!(
        client_problem(error.expect_err("too large")).code,
        Code::TooLarge
    );
}

#[tokio::test]
async fn an_upload_is_checked_against_its_digest_and_reports_progress() {
    let server = Server::start(Limits::default()).await;
    let plugin = Bytes::from(vec![7; 200_000]);
    let (tell, heard) = std::sync::mpsc::channel();
    let client = server.client();
    let info = client.put_plugin(plugin.clone(), move |sent| {
        tell.send(sent).expect("test waits");
    });
    let info = info.await.expect("upload");
    let digest = DigestHex(Sha256::digest(&plugin).into());
    assert_eq!((info.digest, info.bytes), (digest, 200_000));
    let heard: Vec<u64> = heard.iter().collect();
    assert!(
        heard.is_sorted() && heard.last() == Some(&200_000),
        "{heard:?}"
    );

    let wrong = "0".repeat(64);
    let line = format!("PUT /v1/plugins/{wrong}");
    let problem = server.request(&line, &[], "abc").await.problem();
    assert_eq!((problem.status, problem.code), (400, Code::DigestMismatch));
    let found = DigestHex(Sha256::digest("abc").into()).to_string();
    assert!(problem.detail.contains(&wrong) && problem.detail.contains(&found));
    assert_eq!(
        server
            .request("PUT /v1/plugins/abc", &[], "")
            .await
            .problem()
            .status,
        400
    );

    let shown = server
        .request(&format!("GET /v1/plugins/{digest}"), &[], "")
        .await;
    assert_eq!(shown.status(), "200");
    let missing = server
        .request(&format!("GET /v1/plugins/{wrong}"), &[], "")
        .await;
    assert_eq!(missing.problem().code, Code::NotFound);
}

#[tokio::test]
async fn an_invalid_plugin_is_refused_with_each_offending_import() {
    let server = Server::start(Limits::default()).await;
    let error = server
        .client()
        .put_plugin("bad imports".into(), |_| ())
        .await
        .expect_err("bad");
    let problem = client_problem(error);
    assert_eq!((problem.status, problem.code), (422, Code::InvalidPlugin));
    assert_eq!(problem.details, ["wasi:sockets/tcp", "env/fork"]);
}

#[tokio::test]
async fn fsms_are_created_listed_upgraded_snapshotted_and_removed() {
    let server = Server::start(Limits::default()).await;
    let client = server.client();
    let config = [("mode".to_owned(), "fast".to_owned())].into();
    let limits = LimitOverrides {
        memory_bytes: Some(1 << 20),
        ..Default::default()
    };
    let spec = CreateFsm {
        plugin: DigestHex([1; 32]),
        config,
        limits,
    };
    let made = client.create_fsm("counter", &spec).await.expect("create");
    assert_eq!(
        (made.name.as_str(), made.plugin),
        ("counter", DigestHex([1; 32]))
    );
    assert_eq!(made.config.get("mode").map(String::as_str), Some("fast"));

    assert_eq!(
        client.list_fsms().await.expect("list").fsms,
        std::slice::from_ref(&made)
    );
    assert_eq!(client.get_fsm("counter").await.expect("get"), made);
    assert_eq!(
        client
            .upgrade("counter", DigestHex([2; 32]))
            .await
            .expect("upgrade")
            .index,
        40
    );
    assert_eq!(
        client.snapshot("counter").await.expect("snapshot").index,
        41
    );
    assert_eq!(
        client.remove_fsm("counter").await.expect("remove").name,
        "counter"
    );
    let gone = client.get_fsm("counter").await.expect_err("gone");
    assert_eq!(gone.code(), Some(Code::NotFound));
}

#[tokio::test]
async fn a_json_body_with_a_mistake_names_it() {
    let server = Server::start(Limits::default()).await;
    let digest = "0".repeat(64);
    for (body, part) in [
        (String::new(), "EOF"),
        ("{}".into(), "plugin"),
        (r#"{"plugin":"abc"}"#.into(), "abc"),
        (
            format!(r#"{{"plugin":"{digest}","konfig":{{}}}}"#),
            "konfig",
        ),
    ] {
        let problem = server
            .request("PUT /v1/fsms/kv", &[], &body)
            .await
            .problem();
        assert_eq!(problem.code, Code::BadRequest);
        assert!(problem.detail.contains(part), "{}", problem.detail);
    }
}

#[tokio::test]
async fn status_and_probes_have_their_shapes() {
    let server = Server::start(Limits::default()).await;
    let answer = server.request("GET /v1/status", &[], "").await;
    assert_eq!(
        answer.body(),
        r#"{"node":1,"leader":null,"term":3,"fsms":[]}"#
    );
    let live = server.request("GET /livez", &[], "").await;
    assert_eq!(
        (live.status(), live.body()),
        ("200", r#"{"ok":true,"checks":[]}"#)
    );
    let ready = server.request("GET /readyz", &[], "").await;
    assert_eq!(ready.status(), "503");
    assert!(ready.body().contains("no leader"), "{}", ready.body());
    assert!(!server.client().ready().await.expect("probe").ok);
}

#[tokio::test]
async fn a_service_that_hangs_ends_in_unknown_and_probes_go_on() {
    let limits = Limits {
        timeout: Duration::from_millis(20),
        requests: 1,
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let hang = server.request("POST /v1/fsms/kv/apply", &[], "hang");
    let others = async {
        // The one place is taken as soon as the service has the first request.
        server.service.hanging().await;
        let busy = server.request("POST /v1/fsms/kv/query", &[], "x").await;
        let live = server.request("GET /livez", &[], "").await;
        (busy, live)
    };
    let (hung, (busy, live)) = tokio::join!(hang, others);
    let problem = hung.problem();
    assert_eq!((problem.status, problem.code), (504, Code::Timeout));
    assert_eq!(problem.outcome, Outcome::Unknown);
    assert_eq!(
        (busy.problem().status, busy.problem().code),
        (503, Code::Busy)
    );
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(live.status(), "200");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_frees_the_port() {
    let mut server = Server::start(Limits::default()).await;
    let client = server.client();
    client.status().await.expect("keeps a connection open");
    server.stop.take().expect("once").send(()).expect("serving");
    // An idle connection is not waited for: it would take the whole time.
    let ended = timeout(DRAIN_TIMEOUT / 2, &mut server.task).await;
    ended.expect("at once").expect("ends by itself");
    TcpListener::bind(server.address)
        .await
        .expect("the port is free");
    let error = client.status().await.expect_err("gone");
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_client_goes_on_to_the_next_endpoint() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let dead_endpoint = format!("http://{}", dead.local_addr().expect("address"));
    drop(dead);
    let server = Server::start(Limits::default()).await;
    let endpoints = vec![dead_endpoint.parse().expect("endpoint"), server.endpoint()];
    let client = Client::builder(endpoints.clone())
        .retries(false)
        .build()
        .expect("client");
    // Without retries too: nothing was sent to the dead one.
    assert_eq!(
        client.apply("kv", "x".into()).await.expect("applied").index,
        1
    );

    let nowhere = Client::builder(endpoints[..1].to_vec())
        .build()
        .expect("client");
    let error = nowhere.apply("kv", "x".into()).await.expect_err("nowhere");
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_only_with_a_key() {
    let server = Server::start(Limits::default()).await;
    let limit = Duration::from_secs(5);
    let builder = Client::builder(vec![server.endpoint()]).timeout(limit);

    server.service.lose_next_answer();
    let keyed = builder.clone().build().expect("client");
    assert_eq!(
        keyed
            .apply("kv", "x".into())
            .await
            .expect("asked again")
            .index,
        1
    );
    assert_eq!(server.service.applies(), 1);

    server.service.lose_next_answer();
    let once = builder.retries(false).build().expect("client");
    let error = once
        .apply("kv", "y".into())
        .await
        .expect_err("not asked again");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(error.code(), Some(Code::OutcomeUnknown));
    assert_eq!(server.service.applies(), 2);
}

#[tokio::test]
async fn an_explicit_not_applied_is_asked_for_again_without_a_key() {
    let server = Server::start(Limits::default()).await;
    server.service.refuse_as_unavailable(2);
    let client = server.client();
    assert_eq!(
        client
            .apply("kv", "x".into())
            .await
            .expect("third time")
            .index,
        1
    );
}
