//! The transport itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{Envelope, NodeId};
use tokio::task::JoinHandle;

use crate::bulk::{self, BulkError, BulkReader, BulkSource, Progress};
use crate::config::{Config, TransportError};
use crate::handler::{Handler, Refusal};
use crate::hello::Hello;
use crate::identity::Credentials;
use crate::inbound;
use crate::lane::{DropReason, Lane, Overflow};
use crate::limits::{CLOSE_TIMEOUT, RELEASE_POLL};
use crate::peer::{self, Peer, PeerState};
use crate::peer_stats::PeerStats;
use crate::quic::{self, close};
use crate::request::{self, RequestError};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::tls::Tls;

/// The connections of one node: one to each peer for what it sends, one from each for what it
/// receives. Dropping it cuts them; [`shutdown`](Self::shutdown) flushes first.
pub struct Transport {
    node: NodeId,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    closed: bool,
    accept: Option<JoinHandle<()>>,
    peers: BTreeMap<NodeId, JoinHandle<()>>,
}

impl Transport {
    /// Listens, and begins to connect to the peers. Must be called within a tokio runtime.
    pub fn start(config: Config, handler: Arc<dyn Handler>) -> Result<Self, TransportError> {
        config.check()?;
        let tls = Tls::new(&config)?;
        let endpoint = quic::endpoint(config.listen, &tls, &config.limits)?;
        let local_addr = endpoint
            .local_addr()
            .map_err(|source| TransportError::Listen {
                listen: config.listen,
                source,
            })?;
        let hello = Hello::new(&config, tls.random()?);
        let listener = endpoint.clone();
        let shared = Arc::new(Shared::new(tls, config.limits, endpoint, handler, hello));
        let accept = tokio::spawn(inbound::accept_all(Arc::clone(&shared), listener));
        let transport = Self {
            node: config.node,
            local_addr,
            shared,
            tasks: Mutex::default(),
        };
        transport.tasks().accept = Some(accept);
        for (node, addr) in config.peers {
            transport.set_peer(node, addr);
        }
        tracing::info!(node = %config.node, addr = %local_addr, "transport listens");
        Ok(transport)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Adds a peer, or moves it to another address. Must be called within a tokio runtime. This
    /// node itself, and any after `shutdown`, is ignored.
    pub fn set_peer(&self, node: NodeId, addr: SocketAddr) {
        let mut tasks = self.tasks();
        if node == self.node || tasks.closed {
            return;
        }
        if let Some(known) = self.shared.peer(node) {
            known.move_to(addr);
            return;
        }
        let peer = Arc::new(Peer::new(node, addr, &self.shared.limits));
        self.shared.peers().insert(node, Arc::clone(&peer));
        let task = tokio::spawn(peer::run(Arc::clone(&self.shared), peer));
        tasks.peers.insert(node, task);
    }

    /// Cuts off a node that was removed from the cluster: both connections are closed at once, with
    /// that reason, and it is not dialled any more. [`Handler::accepts`] must say `Removed` from
    /// before this is called, so that it is not let in again.
    pub fn drop_peer(&self, node: NodeId) {
        let reason = Refusal::Removed.of(node);
        if let Some(peer) = self.shared.peers().remove(&node) {
            peer.cut(&reason);
            self.tasks().peers.remove(&node);
        }
        self.shared.cut_inbound(node, &reason);
    }

    /// Forgets a peer: what is queued is flushed, then both connections are closed. That it does
    /// not connect again is up to [`Handler::accepts`].
    pub fn remove_peer(&self, node: NodeId) {
        let removed = self.shared.peers().remove(&node);
        if let Some(peer) = removed {
            peer.stop();
            self.tasks().peers.remove(&node);
        }
        if let Some(inbound) = self.shared.inbound().remove(&node) {
            quic::close_connection(&inbound, close::REFUSED, "removed");
        }
    }

    /// How we stand with a peer; `None` if it is unknown.
    pub fn peer_state(&self, node: NodeId) -> Option<PeerState> {
        Some(self.shared.peer(node)?.state())
    }

    /// Queues envelopes for a peer. Never blocks; what does not fit is dropped and reported. `Ok`
    /// says that they are queued, not that they arrive.
    pub fn send(&self, to: NodeId, lane: Lane, envelopes: Vec<Envelope>) -> Result<(), Overflow> {
        let total = envelopes.len();
        let (dropped, reason) = match self.shared.peer(to) {
            None => (total, DropReason::UnknownPeer),
            Some(peer) => match peer.push(lane, envelopes) {
                Ok(()) => return Ok(()),
                Err(dropped) => (dropped.count, dropped.reason),
            },
        };
        self.shared.counters.envelopes_dropped.add(dropped);
        Err(Overflow {
            to,
            lane,
            dropped,
            reason,
        })
    }

    /// Asks a peer and waits for its reply. The error says whether the peer can have handled it.
    pub async fn request(
        &self,
        to: NodeId,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        request::request(&self.shared, to, body, timeout).await
    }

    /// Sends a large object on a connection of its own and returns the receiver's reply.
    /// `progress` is told how much was handed to the connection so far; it begins where the receiver
    /// asked to go on from.
    pub async fn send_bulk(
        &self,
        to: NodeId,
        header: Bytes,
        source: Box<dyn BulkSource>,
        progress: Box<dyn FnMut(Progress) + Send>,
    ) -> Result<Bytes, BulkError> {
        bulk::send(&self.shared, to, header, source, progress).await
    }

    /// Asks a peer for a large object, on a connection of its own.
    pub async fn fetch_bulk(&self, from: NodeId, header: Bytes) -> Result<BulkReader, BulkError> {
        bulk::fetch(&self.shared, from, header).await
    }

    /// Exchanges the certificate, its key and the trusted authority, for connections made from now
    /// on; those that stand are left alone. The same checks as at the start.
    pub fn set_credentials(
        &self,
        identity: &Credentials,
        trust: &str,
    ) -> Result<(), TransportError> {
        let cluster = self.shared.tls().cluster().clone();
        let tls = Tls::checked(cluster, self.node, identity, trust)?;
        let server = quic::server(&tls, &self.shared.limits)?;
        self.shared.set_tls(tls);
        if let Some(endpoint) = self.shared.endpoint() {
            endpoint.set_server_config(Some(server));
        }
        tracing::info!(node = %self.node, "certificate exchanged");
        Ok(())
    }

    /// Sets the rate at which bulk data may leave this node, in bytes per second over all transfers,
    /// from now on; 0 is no limit, and the lowest is [`MIN_BULK_RATE`](crate::MIN_BULK_RATE).
    pub fn set_bulk_rate(&self, bytes_per_second: u64) {
        self.shared.throttle.set(bytes_per_second);
    }

    /// The rate in force; 0 is no limit.
    pub fn bulk_rate(&self) -> u64 {
        self.shared.throttle.rate()
    }

    /// What happened between this node and a peer; `None` if it is unknown.
    pub fn peer_stats(&self, node: NodeId) -> Option<PeerStats> {
        let peer = self.shared.peer(node)?;
        let inbound = self.shared.inbound().get(&node).cloned();
        Some(
            peer.counters
                .read(peer.connection().as_ref(), inbound.as_ref()),
        )
    }

    /// The peers that are known, in ascending order.
    pub fn peers(&self) -> Vec<NodeId> {
        self.shared.peers().keys().copied().collect()
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// Sends what is queued, tells the peers, and closes. Nothing can be sent afterwards. The
    /// address is free again, unless a handler's future still holds on to a request or transfer.
    pub async fn shutdown(&self) {
        let (accept, dialers) = {
            let mut tasks = self.tasks();
            tasks.closed = true;
            (tasks.accept.take(), std::mem::take(&mut tasks.peers))
        };
        for peer in self.shared.peers().values() {
            peer.stop();
        }
        for dialer in dialers.into_values() {
            // A dialer that panicked has nothing left to flush.
            let _ = dialer.await;
        }
        let Some(endpoint) = self.shared.take_endpoint() else {
            return;
        };
        endpoint.close(close::SHUTDOWN, b"shutting down");
        if let Some(accept) = accept {
            let _ = accept.await;
        }
        // A peer that is gone does not acknowledge the close.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
        drop(endpoint);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.released()).await;
    }

    /// Waits until the socket is closed. The last to hold it are tasks of the library, which do
    /// not say when they end; that the address can be bound does.
    async fn released(&self) {
        while UdpSocket::bind(self.local_addr).is_err() {
            tokio::time::sleep(RELEASE_POLL).await;
        }
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.tasks.lock().expect("no panic under the tasks' lock")
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        for peer in self.shared.peers().values() {
            peer.stop();
        }
        if let Some(endpoint) = self.shared.take_endpoint() {
            endpoint.close(close::SHUTDOWN, b"shutting down");
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({} at {})", self.node, self.local_addr)
    }
}
