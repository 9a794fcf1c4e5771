//! What all tasks of a transport have in common.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use coracle_proto::NodeId;
use quinn::{Connection, Endpoint};
use tokio::sync::Semaphore;

use crate::bulk::Throttle;
use crate::config::Limits;
use crate::handler::Handler;
use crate::hello::Hello;
use crate::join::Joins;
use crate::limits::{
    MAX_INBOUND_BULK, MAX_INBOUND_CONNECTIONS, MAX_INBOUND_REQUEST_BYTES, MAX_INBOUND_REQUESTS,
    MAX_OUTBOUND_BULK,
};
use crate::peer::Peer;
use crate::quic::{self, close};
use crate::stats::Counters;
use crate::tls::Tls;

pub(crate) struct Shared {
    tls: Mutex<Arc<Tls>>,
    pub(crate) limits: Limits,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) hello: Hello,
    pub(crate) counters: Counters,
    pub(crate) inbound_slots: Arc<Semaphore>,
    pub(crate) request_slots: Semaphore,
    pub(crate) request_bytes: Semaphore,
    pub(crate) joins: Joins,
    pub(crate) throttle: Throttle,
    pub(crate) inbound_bulk_slots: Semaphore,
    pub(crate) outbound_bulk_slots: Arc<Semaphore>,
    /// None once it is closed: a handle kept here would keep the socket open.
    endpoint: Mutex<Option<Endpoint>>,
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
    inbound: Mutex<BTreeMap<NodeId, Connection>>,
    arrived: Mutex<BTreeMap<usize, (NodeId, Connection)>>,
}

impl Shared {
    pub(crate) fn new(
        tls: Tls,
        limits: Limits,
        endpoint: Endpoint,
        handler: Arc<dyn Handler>,
        hello: Hello,
    ) -> Self {
        Self {
            tls: Mutex::new(Arc::new(tls)),
            handler,
            hello,
            counters: Counters::default(),
            inbound_slots: Arc::new(Semaphore::new(MAX_INBOUND_CONNECTIONS)),
            request_slots: Semaphore::new(MAX_INBOUND_REQUESTS),
            request_bytes: Semaphore::new(MAX_INBOUND_REQUEST_BYTES),
            joins: Joins::new(),
            throttle: Throttle::new(limits.bulk_rate),
            limits,
            inbound_bulk_slots: Semaphore::new(MAX_INBOUND_BULK),
            outbound_bulk_slots: Arc::new(Semaphore::new(MAX_OUTBOUND_BULK)),
            endpoint: Mutex::new(Some(endpoint)),
            peers: Mutex::default(),
            inbound: Mutex::default(),
            arrived: Mutex::default(),
        }
    }

    /// What this node shows and whom it trusts, as of now.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls.lock().expect("no panic under the settings' lock"))
    }

    /// Exchanges it; connections that stand keep what they were made with.
    pub(crate) fn set_tls(&self, tls: Tls) {
        *self.tls.lock().expect("no panic under the settings' lock") = Arc::new(tls);
    }

    /// The endpoint, until it is closed.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.lock_endpoint().clone()
    }

    /// Hands the endpoint out for closing; there is none afterwards.
    pub(crate) fn take_endpoint(&self) -> Option<Endpoint> {
        self.lock_endpoint().take()
    }

    fn lock_endpoint(&self) -> MutexGuard<'_, Option<Endpoint>> {
        self.endpoint
            .lock()
            .expect("no panic under the endpoint's lock")
    }

    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.peers().get(&node).cloned()
    }

    pub(crate) fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Peer>>> {
        self.peers.lock().expect("no panic under the peers' lock")
    }

    /// All connections that nodes made to us, by their ids here.
    pub(crate) fn arrived(&self) -> MutexGuard<'_, BTreeMap<usize, (NodeId, Connection)>> {
        self.arrived
            .lock()
            .expect("no panic under the connections' lock")
    }

    /// Closes all connections that a node made to us.
    pub(crate) fn cut_inbound(&self, node: NodeId, reason: &str) {
        for (from, connection) in self.arrived().values() {
            if *from == node {
                quic::close_connection(connection, close::NOT_MEMBER, reason);
            }
        }
    }

    /// The connections over which peers send to us, at most one per node.
    pub(crate) fn inbound(&self) -> MutexGuard<'_, BTreeMap<NodeId, Connection>> {
        self.inbound
            .lock()
            .expect("no panic under the connections' lock")
    }
}
