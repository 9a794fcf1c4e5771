//! The outgoing side of one peer: its lanes, and the task that keeps it connected.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use coracle_proto::{Envelope, NodeId};
use quinn::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config::Limits;
use crate::dial::dial;
use crate::failure::PeerFailure;
use crate::hello::Greeted;
use crate::lane::{Dropped, Lane, LaneQueue};
use crate::limits::{APPEND_LANES, MIN_BACKOFF};
use crate::peer_stats::PeerCounters;
use crate::quic::{self, close};
use crate::shared::Shared;
use crate::tls::ALPN_RAFT;
use crate::writer;

/// How we stand with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerState {
    /// Where it is dialled.
    pub addr: SocketAddr,
    /// Whether the outgoing connection stands.
    pub connected: bool,
    /// The wire version spoken over it.
    pub version: Option<u16>,
    /// The engine epochs that the peer runs, as it last said.
    pub epochs: Vec<u32>,
    /// Why the last attempt failed or the last connection ended, if there was one.
    pub last_error: Option<PeerFailure>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    node: NodeId,
    control: LaneQueue,
    append: [LaneQueue; APPEND_LANES as usize],
    link: Mutex<Link>,
    pub(crate) counters: PeerCounters,
    /// Ends a pause between attempts.
    wake: Notify,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Link {
    addr: SocketAddr,
    up: Option<(Connection, Greeted)>,
    epochs: Vec<u32>,
    last_error: Option<PeerFailure>,
}

impl Peer {
    pub(crate) fn new(node: NodeId, addr: SocketAddr, limits: &Limits) -> Self {
        Self {
            node,
            control: LaneQueue::control(limits.control_queue_bytes),
            append: std::array::from_fn(|_| LaneQueue::append(limits.append_queue_bytes)),
            link: Mutex::new(Link {
                addr,
                up: None,
                epochs: Vec::new(),
                last_error: None,
            }),
            counters: PeerCounters::default(),
            wake: Notify::new(),
            stop: watch::Sender::new(false),
        }
    }

    pub(crate) fn push(&self, lane: Lane, envelopes: Vec<Envelope>) -> Result<(), Dropped> {
        let pushed = self.queue(lane).push(envelopes);
        if let Err(dropped) = &pushed {
            self.counters.dropped(lane, dropped.count);
        }
        pushed
    }

    pub(crate) fn queue(&self, lane: Lane) -> &LaneQueue {
        match lane {
            Lane::Control => &self.control,
            Lane::Append(lane) => &self.append[usize::from(lane % APPEND_LANES)],
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.link().addr
    }

    /// The connection, if it stands.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.link().up.as_ref().map(|(up, _)| up.clone())
    }

    pub(crate) fn state(&self) -> PeerState {
        let link = self.link();
        PeerState {
            addr: link.addr,
            connected: link.up.is_some(),
            version: link.up.as_ref().map(|(_, peer)| peer.version),
            epochs: link.epochs.clone(),
            last_error: link.last_error.clone(),
        }
    }

    /// Moves the peer to another address, where it is dialled anew.
    pub(crate) fn move_to(&self, addr: SocketAddr) {
        let mut link = self.link();
        if link.addr == addr {
            return;
        }
        link.addr = addr;
        if let Some((up, _)) = &link.up {
            quic::close_connection(up, close::STALE, "peer has another address");
        }
        self.wake.notify_one();
    }

    /// The peer dialled us. If it was restarted, our connection leads to a process that is gone;
    /// if we have none, now is the time to try.
    pub(crate) fn heard_from(&self, peer: &Greeted) {
        let mut link = self.link();
        link.epochs.clone_from(&peer.hello.epochs);
        match &link.up {
            Some((_, known)) if known.hello.incarnation == peer.hello.incarnation => return,
            Some((up, _)) => quic::close_connection(up, close::STALE, "peer was restarted"),
            None => {}
        }
        drop(link);
        self.wake.notify_one();
    }

    /// Ends the task and the connection, without flushing.
    pub(crate) fn cut(&self, reason: &str) {
        if let Some(up) = self.connection() {
            quic::close_connection(&up, close::NOT_MEMBER, reason);
        }
        self.stop();
    }

    /// Ends the task, after what is queued has been flushed.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn set_up(&self, connection: &Connection, peer: Greeted) {
        let mut link = self.link();
        link.epochs.clone_from(&peer.hello.epochs);
        link.up = Some((connection.clone(), peer));
        drop(link);
        for lane in lanes() {
            self.queue(lane).connected();
        }
    }

    fn set_down(&self, why: PeerFailure) {
        let mut link = self.link();
        link.up = None;
        if link.last_error.as_ref() != Some(&why) {
            tracing::warn!(peer = %self.node, addr = %link.addr, "not connected: {why}");
            link.last_error = Some(why);
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("no panic under the link's lock")
    }
}

/// All lanes to a peer.
pub(crate) fn lanes() -> impl Iterator<Item = Lane> {
    std::iter::once(Lane::Control).chain((0..APPEND_LANES).map(Lane::Append))
}

/// Keeps the peer connected until it is stopped.
pub(crate) async fn run(shared: Arc<Shared>, peer: Arc<Peer>) {
    let mut stop = peer.stop.subscribe();
    let mut backoff = MIN_BACKOFF;
    let mut connected_before = false;
    while !*stop.borrow() {
        let attempt = tokio::select! {
            attempt = dial(&shared, peer.node, peer.addr(), ALPN_RAFT) => attempt,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match attempt {
            Ok((connection, greeted)) => {
                shared.counters.connections_made.one();
                peer.counters.connections_made.one();
                if std::mem::replace(&mut connected_before, true) {
                    shared.counters.reconnects.one();
                    peer.counters.reconnects.one();
                }
                let began = Instant::now();
                serve(&shared, &peer, &connection, greeted, &mut stop).await;
                if began.elapsed() > shared.limits.max_backoff {
                    backoff = MIN_BACKOFF;
                }
            }
            Err(failure) => {
                peer.counters.handshake_failed(&failure);
                peer.set_down(failure);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(&shared, backoff)) => {}
            () = peer.wake.notified() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        backoff = (backoff * 2).min(shared.limits.max_backoff);
    }
}

/// One connection, from up to down.
async fn serve(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    connection: &Connection,
    greeted: Greeted,
    stop: &mut watch::Receiver<bool>,
) {
    tracing::info!(peer = %peer.node, addr = %connection.remote_address(), "connected");
    let version = greeted.version;
    peer.set_up(connection, greeted);
    shared.handler.peer_up(peer.node);
    let writers = writer::spawn_all(shared, peer, connection, version, stop);
    let why = tokio::select! {
        why = connection.closed() => why.into(),
        () = writer::flushed(writers) => {
            quic::close_connection(connection, close::SHUTDOWN, "shutting down");
            PeerFailure::network("stopped")
        }
    };
    peer.counters.lost(&why);
    peer.counters.ended(connection);
    // Down first, so that nothing is queued for the connection that is gone.
    peer.set_down(why);
    for lane in lanes() {
        peer.queue(lane).disconnected();
    }
    shared.handler.peer_down(peer.node);
}

/// Between half and all of it, so that nodes that lost a peer together do not return together.
fn jittered(shared: &Shared, backoff: Duration) -> Duration {
    // Without randomness the pause is merely not spread.
    let random = shared.tls().random().unwrap_or(u64::MAX) as u32;
    backoff / 2 + (backoff / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
