//! Tests against a peer with a valid certificate that does not keep to the protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{Envelope, NodeId};
use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, VarInt, WriteError};

use crate::config::{Config, Limits};
use crate::frame;
use crate::handler::{BoxFuture, Handler};
use crate::hello::Hello;
use crate::identity::{self, Authority, Credentials};
use crate::limits::{MAX_BULK_HEADER_BYTES, MAX_FRAME_BYTES, MAX_REQUEST_BYTES};
use crate::quic::{self, close};
use crate::tls::{ALPN_BULK, ALPN_RAFT, SERVER_NAME, Tls};
use crate::versions::{MAX_WIRE_VERSION, Versions};
use crate::writer::STREAM_ENVELOPES;
use crate::{BulkReader, BulkSource, Transport};

const PEER: NodeId = NodeId(1);
const VICTIM: NodeId = NodeId(2);
/// Only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Must not be told anything but bulk transfers.
struct Untouched;

impl Handler for Untouched {
    fn received(&self, from: NodeId, envelopes: Vec<Envelope>) {
        panic!("{envelopes:?} from {from}");
    }

    fn peer_up(&self, _: NodeId) {}

    fn peer_down(&self, _: NodeId) {}

    fn request(&self, from: NodeId, body: Bytes) -> BoxFuture<Bytes> {
        panic!("{body:?} from {from}");
    }

    /// Gives back what it got.
    fn bulk(&self, _: NodeId, _: Bytes, reader: BulkReader) -> BoxFuture<Result<Bytes, String>> {
        Box::pin(async move {
            let all = reader.read_all(MAX_BULK_HEADER_BYTES).await;
            all.map_err(|error| error.to_string())
        })
    }

    fn bulk_fetch(&self, _: NodeId, _: Bytes) -> BoxFuture<Result<Box<dyn BulkSource>, String>> {
        panic!("bulk fetch");
    }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("address")
}

/// The transport under attack, and what the attacker needs.
struct Arena {
    authority: Authority,
    victim: Transport,
}

impl Arena {
    fn new() -> Self {
        let authority = Authority::generate("prod").expect("authority");
        let config = Config {
            node: VICTIM,
            cluster: "prod".to_owned(),
            identity: authority.issue_node(VICTIM).expect("certificate"),
            trust: authority.cert_pem().to_owned(),
            listen: loopback(),
            peers: BTreeMap::new(),
            versions: Versions::SUPPORTED,
            epochs: vec![1],
            limits: Limits::default(),
        };
        let victim = Transport::start(config, Arc::new(Untouched)).expect("starts");
        Self { authority, victim }
    }

    async fn connect(&self, identity: &Credentials, alpn: &'static [u8]) -> Connection {
        let (cluster, trust) = identity::trusted(self.authority.cert_pem()).expect("authority");
        let tls = Tls::assemble(cluster, identity, trust).expect("tls");
        let limits = Limits::default();
        let endpoint: Endpoint = quic::endpoint(loopback(), &tls, &limits).expect("endpoint");
        let config = quic::client(&tls, &limits, VICTIM, alpn).expect("settings");
        endpoint
            .connect_with(config, self.victim.local_addr(), SERVER_NAME)
            .expect("dials")
            .await
            .expect("the handshake ends before the certificate is judged")
    }

    /// Connected, and past the hello.
    async fn peer(&self, alpn: &'static [u8]) -> Connection {
        let identity = self.authority.issue_node(PEER).expect("certificate");
        let connection = self.connect(&identity, alpn).await;
        let hello = Hello::of("prod", PEER, 1);
        hello.greet(&connection, VICTIM).await.expect("admitted");
        connection
    }

    async fn send_on_lane(&self, bytes: &[u8]) -> ApplicationClose {
        let connection = self.peer(ALPN_RAFT).await;
        let mut stream = connection.open_uni().await.expect("stream");
        stream.write_all(bytes).await.expect("written");
        stream.finish().expect("open");
        let closed = closed(&connection).await;
        assert_eq!(self.victim.stats().frames_refused, 1);
        closed
    }
}

/// How the victim closed the connection.
async fn closed(connection: &Connection) -> ApplicationClose {
    let closed = tokio::time::timeout(DEADLINE, connection.closed()).await;
    match closed.expect("closed in time") {
        ConnectionError::ApplicationClosed(close) => close,
        other => panic!("{other}"),
    }
}

fn assert_closed(closed: &ApplicationClose, code: VarInt, said: &str) {
    let reason = String::from_utf8_lossy(&closed.reason);
    assert_eq!(closed.error_code, code, "{reason}");
    assert!(reason.contains(said), "{reason}");
}

#[tokio::test]
async fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
    let length = u32::try_from(MAX_FRAME_BYTES + 1).expect("small");
    let bytes = [&[STREAM_ENVELOPES][..], &length.to_le_bytes()].concat();
    let closed = Arena::new().send_on_lane(&bytes).await;
    assert_closed(&closed, close::MALFORMED, "above the limit of 16777216");
}

#[tokio::test]
async fn a_malformed_batch_is_refused() {
    let frame = [&[STREAM_ENVELOPES][..], &frame::prefix(2), &[9, 0]].concat();
    let closed = Arena::new().send_on_lane(&frame).await;
    assert_closed(&closed, close::MALFORMED, "batch has version 9");
}

#[tokio::test]
async fn a_frame_cut_short_is_refused() {
    let frame = [&[STREAM_ENVELOPES][..], &frame::prefix(2), &[1]].concat();
    let closed = Arena::new().send_on_lane(&frame).await;
    assert_closed(&closed, close::MALFORMED, "ends inside a frame");
}

#[tokio::test]
async fn a_stream_of_unknown_kind_is_refused() {
    let closed = Arena::new().send_on_lane(&[77]).await;
    assert_closed(&closed, close::MALFORMED, "unknown kind 77");
}

#[tokio::test]
async fn a_hello_of_another_cluster_node_or_version_is_refused_with_both_values() {
    let newer = MAX_WIRE_VERSION + 1;
    let ours = Hello::of("prod", PEER, 1);
    let cases = [
        (
            Hello::of("test", PEER, 1),
            close::IDENTITY,
            r#"peer is of cluster "test", this node is of cluster "prod""#,
        ),
        (
            Hello::of("prod", NodeId(3), 1),
            close::IDENTITY,
            "peer says it is n3, its certificate says n1",
        ),
        (
            Hello {
                versions: Versions {
                    oldest: newer,
                    newest: newer,
                },
                ..ours
            },
            close::REFUSED,
            "n1 speaks wire version 3, this node 1 to 2: upgrade this node",
        ),
    ];
    for (hello, code, said) in cases {
        let arena = Arena::new();
        let identity = arena.authority.issue_node(PEER).expect("certificate");
        let connection = arena.connect(&identity, ALPN_RAFT).await;
        let refused = hello.greet(&connection, VICTIM).await;
        assert!(refused.is_err());
        assert_closed(&closed(&connection).await, code, said);
        let counted = async {
            while arena.victim.stats().connections_refused != 1 {
                tokio::task::yield_now().await;
            }
        };
        // A peer may learn of its refusal before that is counted.
        let in_time = tokio::time::timeout(DEADLINE, counted).await;
        assert!(in_time.is_ok(), "{:?}", arena.victim.stats());
    }
}

#[tokio::test]
async fn a_clients_certificate_makes_no_node() {
    let arena = Arena::new();
    let client = arena.authority.issue_client("ops").expect("certificate");
    let connection = arena.connect(&client, ALPN_RAFT).await;

    let closed = tokio::time::timeout(DEADLINE, connection.closed()).await;

    let reason = closed.expect("closed in time").to_string();
    assert!(
        reason.contains("coracle://prod/client/ops, which is no node"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_read() {
    let arena = Arena::new();
    let connection = arena.peer(ALPN_RAFT).await;
    let (mut send, mut recv) = connection.open_bi().await.expect("stream");
    let body = vec![0; MAX_REQUEST_BYTES + 1];

    let written = frame::write(&mut send, body.into()).await;

    assert!(matches!(written, Err(WriteError::Stopped(_))));
    assert!(recv.read_to_end(1).await.expect("ended").is_empty());
    assert!(connection.close_reason().is_none(), "only the stream ends");
}

#[tokio::test]
async fn a_request_cut_short_reaches_nobody() {
    let arena = Arena::new();
    let connection = arena.peer(ALPN_RAFT).await;
    let (mut send, mut recv) = connection.open_bi().await.expect("stream");
    let cut_short = [&frame::prefix(10)[..], b"half"].concat();
    send.write_all(&cut_short).await.expect("written");
    send.finish().expect("open");
    assert!(recv.read_to_end(1).await.expect("ended").is_empty());
    assert_eq!(arena.victim.stats().requests_served, 0);
}

#[tokio::test]
async fn bulk_data_cut_short_is_never_taken_for_all_of_it() {
    let arena = Arena::new();
    let connection = arena.peer(ALPN_BULK).await;
    let (mut send, mut recv) = connection.open_bi().await.expect("stream");
    let offer = [&[1][..], &frame::prefix(0), &10u64.to_le_bytes()].concat();
    send.write_all(&offer).await.expect("written");
    let mut go = [0; 9];
    recv.read_exact(&mut go).await.expect("answered");
    assert_eq!(go, [3, 0, 0, 0, 0, 0, 0, 0, 0], "go on from the beginning");
    // A chunk of four bytes, as they are.
    let chunk = b"\0\x04\0\0\0\x04\0\0\0half";
    send.write_all(chunk).await.expect("written");
    send.finish().expect("open");

    let reply = recv.read_to_end(100).await.expect("answered");

    let refused = 1;
    assert_eq!(reply[0], refused);
    assert!(reply.ends_with(b"4 of 10 bytes arrived"), "{reply:?}");
}

#[tokio::test]
async fn a_peer_that_connects_again_loses_its_older_connection() {
    let arena = Arena::new();
    let older = arena.peer(ALPN_RAFT).await;
    let newer = arena.peer(ALPN_RAFT).await;
    assert_closed(&closed(&older).await, close::SUPERSEDED, "connected again");
    assert!(newer.close_reason().is_none());
}

#[tokio::test]
async fn a_bulk_header_above_the_limit_reaches_nobody() {
    let arena = Arena::new();
    let connection = arena.peer(ALPN_BULK).await;
    let (mut send, mut recv) = connection.open_bi().await.expect("stream");
    let bytes = [&[1][..], &u32::MAX.to_le_bytes()].concat();
    send.write_all(&bytes).await.expect("written");
    let reply = recv.read_to_end(1).await.expect("ended");
    assert!(reply.is_empty());
}
