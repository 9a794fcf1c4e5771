//! Cores without threads or IO of their own, each node polled by a task; both kinds by the same
//! one.

mod coracle;
mod raft_rs;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::{mpsc, oneshot};

use crate::Client;

/// Events a node takes in one turn.
const MAX_TURN: usize = 4096;
/// Entries after which a node drops what it has applied, as openraft does by default.
const COMPACT_EVERY: u64 = 5000;
/// Entries that stay for followers that are a little behind.
const KEEP: u64 = 1000;
/// Time between heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Node ids; the first campaigns at once.
const NODES: [u64; 3] = [1, 2, 3];

/// A core of one node. Its disk is done at once.
trait Engine: Send + 'static {
    type Message: Send + 'static;

    fn start(id: u64) -> Self;
    fn campaign(&mut self);
    fn heartbeat(&mut self);
    fn receive(&mut self, message: Self::Message);
    /// Appends so many empty entries, as far as it takes them.
    fn propose(&mut self, count: usize) -> usize;
    /// What is to be sent since the last turn, by addressee.
    fn sends(&mut self) -> Vec<(u64, Self::Message)>;
    /// How many proposed entries were committed since the last turn.
    fn committed(&mut self) -> usize;
    fn leads(&self) -> bool;
}

enum Event<M> {
    Received(Vec<M>),
    Write(oneshot::Sender<()>),
    Leads(oneshot::Sender<bool>),
}

struct Asker<M>(mpsc::UnboundedSender<Event<M>>);

impl<M> Clone for Asker<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Send + 'static> Client for Asker<M> {
    async fn write(&self) -> anyhow::Result<()> {
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send(Event::Write(answer));
        sent.map_err(|_| anyhow!("the leader is gone"))?;
        answered.await.context("the leader gave no answer")
    }
}

pub(crate) async fn coracle() -> anyhow::Result<impl Client> {
    start::<coracle::Core>().await
}

pub(crate) async fn raft_rs() -> anyhow::Result<impl Client> {
    start::<raft_rs::Core>().await
}

async fn start<E: Engine>() -> anyhow::Result<Asker<E::Message>> {
    let (inboxes, outlets): (Vec<_>, Vec<_>) =
        NODES.iter().map(|_| mpsc::unbounded_channel()).unzip();
    for (id, outlet) in NODES.into_iter().zip(outlets) {
        tokio::spawn(run::<E>(id, outlet, inboxes.clone()));
    }
    let leader = Asker(inboxes[0].clone());
    loop {
        let (answer, leads) = oneshot::channel();
        let asked = leader.0.send(Event::Leads(answer));
        asked.map_err(|_| anyhow!("the first node is gone"))?;
        if leads.await? {
            return Ok(leader);
        }
        tokio::task::yield_now().await;
    }
}

async fn run<E: Engine>(
    id: u64,
    mut events: mpsc::UnboundedReceiver<Event<E::Message>>,
    inboxes: Vec<mpsc::UnboundedSender<Event<E::Message>>>,
) {
    let mut core = E::start(id);
    if id == NODES[0] {
        core.campaign();
    }
    let mut waiting = VecDeque::new();
    let mut turn = Vec::new();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        deliver(&mut core, &inboxes);
        for _ in 0..core.committed() {
            if let Some(client) = waiting.pop_front() {
                let client: oneshot::Sender<()> = client;
                let _ = client.send(());
            }
        }
        tokio::select! {
            biased;
            taken = events.recv_many(&mut turn, MAX_TURN) => {
                if taken == 0 {
                    return;
                }
            }
            _ = heartbeat.tick() => core.heartbeat(),
        }
        take(&mut core, turn.drain(..), &mut waiting);
    }
}

fn take<E: Engine>(
    core: &mut E,
    turn: impl Iterator<Item = Event<E::Message>>,
    waiting: &mut VecDeque<oneshot::Sender<()>>,
) {
    let before = waiting.len();
    for event in turn {
        match event {
            Event::Received(messages) => messages.into_iter().for_each(|m| core.receive(m)),
            Event::Write(client) => waiting.push_back(client),
            Event::Leads(answer) => {
                let _ = answer.send(core.leads());
            }
        }
    }
    let count = waiting.len() - before;
    if count > 0 {
        // Dropped senders tell the clients.
        waiting.truncate(before + core.propose(count));
    }
}

fn deliver<E: Engine>(core: &mut E, inboxes: &[mpsc::UnboundedSender<Event<E::Message>>]) {
    let sends = core.sends();
    if sends.is_empty() {
        return;
    }
    let mut batches: [Vec<E::Message>; NODES.len()] = Default::default();
    for (to, message) in sends {
        batches[to as usize - 1].push(message);
    }
    for (inbox, batch) in inboxes.iter().zip(batches) {
        if !batch.is_empty() {
            // A node that is gone takes nothing any more.
            let _ = inbox.send(Event::Received(batch));
        }
    }
}
