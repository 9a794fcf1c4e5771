//! Nodes for the tests: a transport each, and a handler that writes down what it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{Envelope, GroupId, Message, NodeId, ReplicaId};
use coracle_transport::identity::{Authority, Credentials};
use coracle_transport::{
    BoxFuture, BulkError, BulkReader, BulkSource, BytesSource, Config, Handler, Limits,
    PeerFailure, Refusal, Stats, Transport, TransportError, Versions,
};
use tokio::sync::{Notify, Semaphore};

/// Far above what anything here takes; only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const ONE: NodeId = NodeId(1);
pub(crate) const TWO: NodeId = NodeId(2);

/// What a handler was told, and how it answers.
pub(crate) struct Recorder {
    seen: Mutex<Seen>,
    changed: Notify,
    /// Requests and bulk transfers need a permit to go on.
    pub(crate) gate: Semaphore,
    refuses: Mutex<Option<NodeId>>,
    partial: Mutex<Vec<u8>>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) received: Vec<(NodeId, Envelope)>,
    pub(crate) up: Vec<NodeId>,
    pub(crate) down: Vec<NodeId>,
    pub(crate) requests: Vec<(NodeId, Bytes)>,
    pub(crate) joins: Vec<(Bytes, [u8; 32])>,
    pub(crate) bulk_begun: usize,
    pub(crate) bulk_failed: Vec<String>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            seen: Mutex::default(),
            changed: Notify::new(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            refuses: Mutex::default(),
            partial: Mutex::default(),
        }
    }

    pub(crate) fn with_closed_gate() -> Self {
        Self {
            gate: Semaphore::new(0),
            ..Self::new()
        }
    }

    pub(crate) fn refusing(node: NodeId) -> Self {
        Self {
            refuses: Mutex::new(Some(node)),
            ..Self::new()
        }
    }

    /// From now on this node may not connect.
    pub(crate) fn refuse(&self, node: NodeId) {
        *self.refuses.lock().expect("lock") = Some(node);
    }

    /// What has come of a transfer headed `resume`.
    pub(crate) fn partial(&self) -> Vec<u8> {
        self.partial.lock().expect("lock").clone()
    }

    /// Goes on from what is there.
    async fn resume(&self, mut reader: BulkReader) -> Result<Bytes, String> {
        let failed = |error: BulkError| {
            self.note(|seen| seen.bulk_failed.push(error.to_string()));
            error.to_string()
        };
        let had = self.partial().len() as u64;
        reader.resume_at(had).await.map_err(failed)?;
        while let Some(chunk) = reader.read().await.map_err(failed)? {
            self.partial.lock().expect("lock").extend_from_slice(&chunk);
            self.note(|seen| seen.bulk_begun += 1);
            self.gate.acquire().await.expect("open").forget();
        }
        Ok(Sum::of(&self.partial()))
    }

    fn note(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.seen.lock().expect("lock"));
        self.changed.notify_waiters();
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("lock").clone()
    }

    /// Waits until what was seen is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Seen) -> bool) {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if wanted(&self.seen.lock().expect("lock")) {
                    return;
                }
                changed.await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, reached).await;
        assert!(in_time.is_ok(), "never: {what}");
    }
}

/// The handler proper; the recorder is shared with the test.
pub(crate) struct Recording(pub(crate) Arc<Recorder>);

impl Handler for Recording {
    fn received(&self, from: NodeId, envelopes: Vec<Envelope>) {
        self.0.note(|seen| {
            let envelopes = envelopes.into_iter().map(|envelope| (from, envelope));
            seen.received.extend(envelopes);
        });
    }

    fn peer_up(&self, node: NodeId) {
        self.0.note(|seen| seen.up.push(node));
    }

    fn peer_down(&self, node: NodeId) {
        self.0.note(|seen| seen.down.push(node));
    }

    fn accepts(&self, node: NodeId) -> Result<(), Refusal> {
        match *self.0.refuses.lock().expect("lock") == Some(node) {
            true => Err(Refusal::Removed),
            false => Ok(()),
        }
    }

    /// Welcomes, unless somebody is refused.
    fn join(&self, request: Bytes, exporter: [u8; 32]) -> BoxFuture<Bytes> {
        let recorder = Arc::clone(&self.0);
        Box::pin(async move {
            if recorder.refuses.lock().expect("lock").is_some() {
                return Bytes::new();
            }
            recorder.note(|seen| seen.joins.push((request, exporter)));
            recorder.gate.acquire().await.expect("open").forget();
            Bytes::from("welcome")
        })
    }

    /// Echoes.
    fn request(&self, from: NodeId, body: Bytes) -> BoxFuture<Bytes> {
        let recorder = Arc::clone(&self.0);
        Box::pin(async move {
            recorder.note(|seen| seen.requests.push((from, body.clone())));
            recorder.gate.acquire().await.expect("open").forget();
            body
        })
    }

    /// Reads it all and answers its length and checksum; refuses what is headed `no`.
    fn bulk(
        &self,
        _from: NodeId,
        header: Bytes,
        mut reader: BulkReader,
    ) -> BoxFuture<Result<Bytes, String>> {
        let recorder = Arc::clone(&self.0);
        Box::pin(async move {
            if header == "no" {
                return Err("header says no".to_owned());
            }
            if header == "resume" {
                return recorder.resume(reader).await;
            }
            let mut sum = Sum::default();
            loop {
                match reader.read().await {
                    Ok(Some(chunk)) => sum.add(&chunk),
                    Ok(None) => return Ok(sum.to_bytes()),
                    Err(error) => {
                        recorder.note(|seen| seen.bulk_failed.push(error.to_string()));
                        return Err(error.to_string());
                    }
                }
                recorder.note(|seen| seen.bulk_begun += 1);
                recorder.gate.acquire().await.expect("open").forget();
            }
        })
    }

    /// Gives so many bytes as the header says.
    fn bulk_fetch(
        &self,
        _from: NodeId,
        header: Bytes,
    ) -> BoxFuture<Result<Box<dyn BulkSource>, String>> {
        Box::pin(async move {
            let length = std::str::from_utf8(&header)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or("header is no number")?;
            let source: Box<dyn BulkSource> = Box::new(Pattern(BytesSource::new(pattern(length))));
            Ok(source)
        })
    }
}

/// Says what it is.
#[derive(Debug)]
struct Pattern(BytesSource);

impl BulkSource for Pattern {
    fn length(&self) -> u64 {
        self.0.length()
    }

    fn description(&self) -> Bytes {
        Bytes::from("a pattern")
    }

    fn seek(&mut self, offset: u64) -> std::io::Result<()> {
        self.0.seek(offset)
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A position-dependent checksum, cheap in a debug build.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    length: u64,
    sum: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.length += 1;
            self.sum = self
                .sum
                .wrapping_add(self.length.wrapping_mul(u64::from(*byte)));
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::from(format!("{} {:x}", self.length, self.sum))
    }

    pub(crate) fn of(bytes: &[u8]) -> Bytes {
        let mut sum = Self::default();
        sum.add(bytes);
        sum.to_bytes()
    }
}

/// So many bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect()
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) transport: Transport,
    pub(crate) recorder: Arc<Recorder>,
}

impl Node {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    /// Waits for the outgoing connection to a peer.
    pub(crate) async fn until_up(&self, peer: NodeId) {
        self.recorder
            .until("peer is up", |seen| seen.up.contains(&peer))
            .await;
    }

    /// Waits until the counters say this: a peer may learn of a refusal before it is counted.
    pub(crate) async fn until_counted(&self, what: &str, counted: impl Fn(&Stats) -> bool) {
        let reached = async {
            while !counted(&self.transport.stats()) {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, reached).await;
        assert!(in_time.is_ok(), "{what}: {:?}", self.transport.stats());
    }

    /// Waits until connecting to a peer has failed with an error that says all of this.
    pub(crate) async fn until_refused(&self, peer: NodeId, said: &[&str]) {
        let mut last: Option<PeerFailure> = None;
        let refused = async {
            loop {
                let state = self.transport.peer_state(peer).expect("known");
                assert!(!state.connected, "refused peers never come up");
                last = state.last_error.or_else(|| last.take());
                let complete =
                    |error: &PeerFailure| said.iter().all(|part| error.to_string().contains(part));
                if last.as_ref().is_some_and(complete) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, refused).await;
        assert!(in_time.is_ok(), "wanted {said:?}, last error was {last:?}");
    }
}

/// What a node is started with; tests change what they are about.
pub(crate) fn config(authority: &Authority, node: NodeId) -> Config {
    Config {
        node,
        cluster: authority.cluster().to_string(),
        identity: issue(authority, node),
        trust: authority.cert_pem().to_owned(),
        listen: "127.0.0.1:0".parse().expect("address"),
        peers: BTreeMap::new(),
        versions: Versions::SUPPORTED,
        epochs: vec![1],
        limits: Limits::default(),
    }
}

pub(crate) fn authority(cluster: &str) -> Authority {
    Authority::generate(cluster).expect("authority")
}

pub(crate) fn issue(authority: &Authority, node: NodeId) -> Credentials {
    authority.issue_node(node).expect("certificate")
}

pub(crate) fn start(config: Config) -> Node {
    start_with(config, Recorder::new())
}

pub(crate) fn start_with(config: Config, recorder: Recorder) -> Node {
    try_start(config, recorder).expect("starts")
}

pub(crate) fn try_start(config: Config, recorder: Recorder) -> Result<Node, TransportError> {
    let recorder = Arc::new(recorder);
    let handler = Arc::new(Recording(Arc::clone(&recorder)));
    let transport = Transport::start(config, handler)?;
    Ok(Node {
        transport,
        recorder,
    })
}

/// Two nodes, connected both ways.
pub(crate) async fn pair() -> (Node, Node) {
    pair_with(Limits::default(), Recorder::new()).await
}

/// As `pair`, with the first one's limits and the second one's recorder.
pub(crate) async fn pair_with(limits: Limits, second: Recorder) -> (Node, Node) {
    let authority = authority("prod");
    let one = start(Config {
        limits,
        ..config(&authority, ONE)
    });
    let two = start_with(config(&authority, TWO), second);
    one.transport.set_peer(TWO, two.addr());
    two.transport.set_peer(ONE, one.addr());
    one.until_up(TWO).await;
    two.until_up(ONE).await;
    (one, two)
}

pub(crate) fn replica(node: NodeId) -> ReplicaId {
    ReplicaId { node, born: 0 }
}

pub(crate) fn heartbeat(from: NodeId, to: NodeId, group: u64, round: u64) -> Envelope {
    Envelope {
        group: GroupId(group),
        from: replica(from),
        to: replica(to),
        term: 1,
        message: Message::Heartbeat {
            commit: 0,
            round,
            lease: false,
        },
    }
}
