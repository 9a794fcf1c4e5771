//! What operators ask: leadership, settings, events; and the headers of reads.

use std::collections::BTreeMap;

use coracle_client::{Code, Consistency, EventFilter, Happening, LeaderOrder, QueryOptions};

use super::*;

#[tokio::test]
async fn a_query_says_what_was_given_by_whom_and_how_old_it_is() {
    let server = Server::start(Limits::default()).await;
    let headers = ["Coracle-Consistency: stale", "Coracle-Max-Staleness: 250ms"];
    let answer = server
        .request("POST /v1/fsms/kv/query", &headers, "get a")
        .await;
    assert_eq!(answer.status(), "200");
    for (name, value) in [
        ("coracle-consistency", "stale"),
        ("coracle-node", "1"),
        ("coracle-term", "7"),
        ("coracle-index", "9"),
        ("coracle-staleness-ms", "250"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_bound_of_staleness_is_for_stale_queries_only() {
    let server = Server::start(Limits::default()).await;
    let options = QueryOptions {
        consistency: Consistency::Lease,
        max_staleness: Some(Duration::from_millis(5)),
        ..QueryOptions::default()
    };
    let asked = server.client().query("kv", "get a".into(), options).await;
    assert_eq!(asked.expect_err("refused").code(), Some(Code::BadRequest));
    let header = ["Coracle-Consistency: fresh"];
    let answer = server
        .request("POST /v1/fsms/kv/query", &header, "get a")
        .await;
    assert_eq!(answer.problem().code, Code::BadRequest);
}

#[tokio::test]
async fn leadership_is_shown_and_handed_over() {
    let server = Server::start(Limits::default()).await;
    let client = server.client();
    let order = |to| LeaderOrder {
        fsm: Some("kv".into()),
        to: Some(to),
    };
    let led = client
        .transfer_leader(&order(2))
        .await
        .expect("handed over");
    assert_eq!((led.fsm.as_deref(), led.leader), (Some("kv"), Some(2)));
    let refused = client
        .transfer_leader(&order(9))
        .await
        .expect_err("no voter");
    assert_eq!(refused.code(), Some(Code::Conflict));
    let leaders = client.leaders(None).await.expect("leaders");
    assert_eq!(leaders.groups[0].leader, Some(1));
    let unknown = server.request("POST /v1/leader/abdicate", &[], "").await;
    assert_eq!(unknown.problem().code, Code::NotFound);
    let no_body = server.request("POST /v1/leader/verify", &[], "").await;
    assert_eq!(no_body.status(), "200");
}

#[tokio::test]
async fn events_are_streamed_and_resumed_and_a_bad_filter_is_refused() {
    let server = Server::start(Limits::default()).await;
    let client = server.client();
    let taken = |index| Happening::SnapshotTaken { index };
    let tell = |index| {
        let events = &server.service.events;
        events.tell(Some(3), Some("kv".into()), taken(index));
    };
    let filter = EventFilter::default();
    let mut stream = client.events(&filter, None).await.expect("stream");
    tell(1);
    let first = stream.next().await.expect("event").expect("one");
    assert_eq!(first.what, taken(1));
    drop(stream);
    tell(2);
    let mut stream = client.events(&filter, Some(first.id)).await.expect("back");
    let second = stream.next().await.expect("event").expect("one");
    assert_eq!(second.what, taken(2));
    server.service.events.close();
    assert_eq!(stream.next().await.expect("the end"), None);
    let bad = server
        .request("GET /v1/events?kinds=weather", &[], "")
        .await;
    assert_eq!(bad.problem().code, Code::BadRequest);
}

#[tokio::test]
async fn settings_go_through_as_json_and_refusals_come_back() {
    let server = Server::start(Limits::default()).await;
    let client = server.client();
    let set = |key: &str| BTreeMap::from([(key.to_owned(), serde_json::json!(5))]);
    client
        .set_config(set("snapshot.entries"), true)
        .await
        .expect("set");
    let refused = client.set_config(set("node"), false).await;
    assert_eq!(refused.expect_err("cold").code(), Some(Code::Conflict));
    assert_eq!(client.metrics().await.expect("metrics"), "# EOF\n");
}
