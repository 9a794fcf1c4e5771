//! Two nodes with real connections between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{Envelope, GroupId, Message, NodeId, ReplicaId};
use coracle_transport::identity::Authority;
use coracle_transport::{
    BoxFuture, BulkReader, BulkSource, BytesSource, Config, Handler, Lane, Limits, Transport,
    Versions,
};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Far above what anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

/// What a node was told.
#[derive(Debug, Default)]
struct Seen {
    received: Mutex<Vec<Envelope>>,
    ups: Mutex<u64>,
    downs: Mutex<u64>,
    changed: Notify,
}

struct Node {
    transport: Transport,
    seen: Arc<Seen>,
}

/// Gives `length` bytes that differ from place to place, `length` being what is asked for.
struct Giver(Arc<Seen>);

impl Handler for Giver {
    fn received(&self, _: NodeId, envelopes: Vec<Envelope>) {
        lock(&self.0.received).extend(envelopes);
        self.0.changed.notify_waiters();
    }

    fn peer_up(&self, _: NodeId) {
        *lock(&self.0.ups) += 1;
        self.0.changed.notify_waiters();
    }

    fn peer_down(&self, _: NodeId) {
        *lock(&self.0.downs) += 1;
        self.0.changed.notify_waiters();
    }

    fn request(&self, _: NodeId, body: Bytes) -> BoxFuture<Bytes> {
        Box::pin(std::future::ready(body))
    }

    fn bulk(&self, _: NodeId, _: Bytes, _: BulkReader) -> BoxFuture<Result<Bytes, String>> {
        Box::pin(std::future::ready(Err("nothing is wanted here".into())))
    }

    fn bulk_fetch(
        &self,
        _: NodeId,
        header: Bytes,
    ) -> BoxFuture<Result<Box<dyn BulkSource>, String>> {
        let length = std::str::from_utf8(&header)
            .ok()
            .and_then(|it| it.parse().ok());
        let source = length.map(|length| Box::new(BytesSource::new(pattern(length))) as Box<_>);
        Box::pin(std::future::ready(source.ok_or("no number".into())))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8)) as u8).collect()
}

fn words(error: impl std::fmt::Display) -> String {
    format!("harness: {error}")
}

fn start(authority: &Authority, node: NodeId) -> Result<Node, String> {
    let seen = Arc::new(Seen::default());
    let config = Config {
        node,
        cluster: authority.cluster().to_string(),
        identity: authority.issue_node(node).map_err(words)?,
        trust: authority.cert_pem().to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        peers: BTreeMap::new(),
        versions: Versions::SUPPORTED,
        epochs: vec![1],
        limits: Limits::default(),
    };
    let handler = Arc::new(Giver(Arc::clone(&seen)));
    let transport = Transport::start(config, handler).map_err(words)?;
    Ok(Node { transport, seen })
}

impl Node {
    async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Result<(), String> {
        let reached = async {
            loop {
                let changed = self.seen.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if wanted(&self.seen) {
                    return;
                }
                changed.await;
            }
        };
        timeout(DEADLINE, reached).await.map_err(words)
    }
}

/// Two nodes that know each other, connected.
async fn pair() -> Result<(Node, Node), String> {
    let authority = Authority::generate("mutants").map_err(words)?;
    let (one, two) = (start(&authority, ONE)?, start(&authority, TWO)?);
    one.transport.set_peer(TWO, two.transport.local_addr());
    two.transport.set_peer(ONE, one.transport.local_addr());
    one.until(|seen| *lock(&seen.ups) > 0).await?;
    two.until(|seen| *lock(&seen.ups) > 0).await?;
    Ok((one, two))
}

/// Node 1 sends in the name of another one: its connection is closed, and nothing gets through.
pub(crate) fn foreign_sender(claimed: u64) -> Result<(), String> {
    let runtime = Runtime::new().map_err(words)?;
    runtime.block_on(async {
        let (one, two) = pair().await?;
        let id = |node| ReplicaId { node, born: 0 };
        let envelope = Envelope {
            group: GroupId(1),
            from: id(NodeId(claimed)),
            to: id(TWO),
            term: 9,
            message: Message::TimeoutNow,
        };
        let sent = one.transport.send(TWO, Lane::Control, vec![envelope]);
        sent.map_err(|overflow| format!("harness: {overflow:?}"))?;
        let refused = || two.transport.stats().frames_refused > 0;
        let noticed = |seen: &Seen| refused() || !lock(&seen.received).is_empty();
        let end = tokio::time::Instant::now() + DEADLINE;
        while !noticed(&two.seen) && tokio::time::Instant::now() < end {
            tokio::task::yield_now().await;
        }
        let outcome = match refused() {
            true => Ok(()),
            false => Err(format!(
                "identity: node 1 speaks as n{claimed} and is heard"
            )),
        };
        one.transport.shutdown().await;
        two.transport.shutdown().await;
        outcome
    })
}

/// Node 1 fetches data of which it has the beginning.
pub(crate) fn resumed_transfer(length: usize, offset: u64) -> Result<(), String> {
    let runtime = Runtime::new().map_err(words)?;
    runtime.block_on(async {
        let (one, two) = pair().await?;
        let header = Bytes::from(length.to_string());
        let mut reader = one.transport.fetch_bulk(TWO, header).await.map_err(words)?;
        reader.resume_at(offset).await.map_err(words)?;
        let mut rest = Vec::new();
        let torn = |error| format!("resumed transfer: from {offset} on: {error}");
        while let Some(chunk) = reader.read().await.map_err(torn)? {
            rest.extend_from_slice(&chunk);
        }
        drop(reader);
        one.transport.shutdown().await;
        two.transport.shutdown().await;
        match rest == pattern(length)[offset as usize..] {
            true => Ok(()),
            false => Err(format!(
                "resumed transfer: from {offset} on the data differ"
            )),
        }
    })
}
