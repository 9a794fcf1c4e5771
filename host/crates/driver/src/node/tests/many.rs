//! A thousand groups on three nodes: what they cost when nothing happens, and that they do not
//! all campaign at once. Counted in messages and turns, never in time.

use std::collections::BTreeSet;
use std::time::Duration;

use coracle_proto::{Configuration, Envelope, GroupId, Instant, Message, NodeId, Role};

use super::rig::{SECOND, bare_node, spec};
use crate::node::{Event, Node, NodeConfig, Outbox};

const GROUPS: u64 = 1000;
const NODES: u64 = 3;

/// Turns without which nothing settles; far more than are needed.
const MAX_ROUNDS: usize = 20_000;

#[test]
fn a_thousand_idle_groups_send_nothing_and_want_no_turn() {
    let mut cluster = Cluster::new();
    cluster.settle();
    let leaders = cluster.leaders();
    assert_eq!(leaders.len() as u64, GROUPS);
    let spread = (1..=NODES).map(|node| leaders.iter().filter(|(_, id)| *id == node).count());
    assert!(spread.clone().all(|led| led > 300), "{spread:?}");

    let (sent, turns) = (cluster.sent, cluster.turns);
    cluster.now = Instant(cluster.now.0 + 3600 * SECOND);
    cluster.settle();
    assert_eq!((cluster.sent, cluster.turns), (sent, turns));
}

#[test]
fn groups_whose_node_is_lost_elect_others_a_bounded_number_in_each_turn() {
    let mut cluster = Cluster::new();
    cluster.settle();
    let led = cluster.leaders();
    let led = led.iter().filter(|(_, node)| *node == 1).count();
    cluster.lose(1);
    cluster.most_campaigns = 0;
    cluster.settle();
    assert_eq!(cluster.leaders().len() as u64, GROUPS);
    let most = cluster.most_campaigns;
    assert!(0 < most && most < led / 3, "{most} of {led} in one turn");
}

#[test]
fn one_turn_fires_a_bounded_number_of_timers() {
    let mut cluster = Cluster::new();
    cluster.settle();
    cluster.lose(1);
    (2..=NODES).for_each(|id| cluster.turn(id));
    cluster.most_campaigns = 0;
    // All timers have run out while the process stood still.
    cluster.now = Instant(cluster.now.0 + 3600 * SECOND);
    cluster.settle();
    assert_eq!(cluster.leaders().len() as u64, GROUPS);
    assert!(cluster.most_campaigns <= Node::MAX_TIMERS);
}

struct Cluster {
    nodes: Vec<Node>,
    inboxes: Vec<Vec<Event>>,
    lost: BTreeSet<u64>,
    now: Instant,
    sent: u64,
    turns: u64,
    most_campaigns: usize,
}

impl Cluster {
    fn new() -> Self {
        let node = |id| {
            bare_node(
                NodeConfig {
                    quiesce_after: 2,
                    ..NodeConfig::new(NodeId(id))
                },
                id,
            )
        };
        let host = |group| Event::Host {
            group: GroupId(group),
            born: 0,
            configuration: Configuration::initial((1..=NODES).map(NodeId)),
            create: Some(spec()),
        };
        Self {
            nodes: (1..=NODES).map(node).collect(),
            inboxes: vec![(1..=GROUPS).map(host).collect(); NODES as usize],
            lost: BTreeSet::new(),
            now: Instant(0),
            sent: 0,
            turns: 0,
            most_campaigns: 0,
        }
    }

    /// Lets time pass until nobody wants anything any more.
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let busy = self.inboxes.iter().any(|inbox| !inbox.is_empty());
            let alive = (1..=NODES).filter(|id| !self.lost.contains(id));
            let next = alive.filter_map(|id| self.nodes[id as usize - 1].deadline());
            match next.min() {
                None if !busy => return,
                Some(at) if !busy => self.now = self.now.max(at),
                _ => self.now = self.now + Duration::from_millis(1),
            }
            (1..=NODES).for_each(|id| self.turn(id));
        }
        panic!("not settled at {:?}", self.now);
    }

    fn turn(&mut self, id: u64) {
        let at = id as usize - 1;
        let events = std::mem::take(&mut self.inboxes[at]);
        let due = self.nodes[at].deadline().is_some_and(|due| due <= self.now);
        if self.lost.contains(&id) || (events.is_empty() && !due) {
            return;
        }
        self.turns += 1;
        let mut out = Outbox::default();
        self.nodes[at].turn(self.now, SECOND, events, &mut out);
        for write in &out.writes {
            let group = write.group;
            let durable = write.id.map(|id| Event::Persisted { group, id });
            self.inboxes[at].extend(durable);
        }
        let asks = |envelope: &&Envelope| matches!(envelope.message, Message::Vote { .. });
        let asking = out.sends.iter().filter(asks).map(|envelope| envelope.group);
        let asking: BTreeSet<_> = asking.collect();
        self.most_campaigns = self.most_campaigns.max(asking.len());
        for envelope in out.sends {
            self.sent += 1;
            let to = envelope.to.node.0 as usize - 1;
            self.inboxes[to].push(Event::Received(vec![envelope]));
        }
    }

    fn lose(&mut self, id: u64) {
        self.lost.insert(id);
        for inbox in &mut self.inboxes {
            inbox.push(Event::PeerDown(NodeId(id)));
        }
    }

    /// Groups and who leads them, of the nodes that are there.
    fn leaders(&self) -> BTreeSet<(GroupId, u64)> {
        let alive = (1..=NODES).filter(|id| !self.lost.contains(id));
        let leads = alive.flat_map(|id| {
            let statuses = self.nodes[id as usize - 1].statuses().into_iter();
            let led = statuses.filter(|status| status.raft.role == Role::Leader);
            led.map(move |status| (status.group, id))
        });
        leads.collect()
    }
}
