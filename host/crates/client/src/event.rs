//! What a node tells those who follow its events.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that has happened on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Rises from event to event of a node, also over a restart. A follower that was cut off goes
    /// on after the last one it saw.
    pub id: u64,
    /// Milliseconds since 1970, by that node's clock.
    pub time_ms: u64,
    /// The node that tells it.
    pub node: u64,
    /// The group it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// The name of the group's fsm, where this node knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsm: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happening {
    /// Another leader, or none, or another term.
    LeaderChanged {
        /// The term.
        term: u64,
        /// The leader, if known.
        leader: Option<u64>,
        /// Whether it is the node that tells it.
        leads: bool,
    },
    /// A configuration was committed.
    ConfigurationChanged {
        /// Index of the state in which this node found it in force.
        index: u64,
        /// Who votes.
        voters: Vec<u64>,
        /// Who learns.
        learners: Vec<u64>,
    },
    /// A snapshot was taken here.
    SnapshotTaken {
        /// Last index it covers.
        index: u64,
    },
    /// A snapshot arrived at a peer.
    SnapshotSent {
        /// The peer.
        to: u64,
        /// Last index it covers.
        index: u64,
        /// Its size.
        bytes: u64,
    },
    /// A peer's snapshot arrived here.
    SnapshotReceived {
        /// The peer.
        from: u64,
        /// Last index it covers.
        index: u64,
    },
    /// The state was replaced by a received snapshot.
    SnapshotInstalled {
        /// Last index it covers.
        index: u64,
    },
    /// A group begins to be hosted here.
    FsmHosted,
    /// An fsm has started here.
    FsmStarted {
        /// Its plugin, sha-256 in hex.
        plugin: String,
    },
    /// An fsm goes on with another plugin.
    FsmUpgraded {
        /// The plugin before.
        from: String,
        /// The plugin from now on.
        plugin: String,
        /// The index from which on.
        index: u64,
    },
    /// An fsm is gone from this node.
    FsmRemoved,
    /// An fsm stands still on this node.
    FsmHalted {
        /// Why.
        reason: String,
    },
    /// There is a connection to a peer.
    PeerUp {
        /// Which.
        peer: u64,
    },
    /// The connection to a peer is lost.
    PeerDown {
        /// Which.
        peer: u64,
    },
    /// A setting was changed at run time.
    ConfigChanged {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// The node hands its leaderships over and takes no new ones, or does so no more.
    Draining {
        /// Whether it begins.
        on: bool,
    },
    /// This follower missed events: it was too slow, or was away for too long.
    Lagged {
        /// How many, where that is known.
        missed: Option<u64>,
    },
}

/// Kinds of events, to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// Leaders and terms.
    Leader,
    /// Configurations of groups.
    Membership,
    /// Snapshots taken, sent, received, installed.
    Snapshot,
    /// Fsms created, started, upgraded, removed, halted.
    Fsm,
    /// Connections to peers.
    Peer,
    /// The node itself: settings, draining.
    Node,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Leader,
        Self::Membership,
        Self::Snapshot,
        Self::Fsm,
        Self::Peer,
        Self::Node,
    ];

    /// Its word on the wire and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Membership => "membership",
            Self::Snapshot => "snapshot",
            Self::Fsm => "fsm",
            Self::Peer => "peer",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Not a kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no kind of event: want leader, membership, snapshot, fsm, peer or node")]
pub struct InvalidKind {
    text: String,
}

impl FromStr for EventKind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.word() == text);
        found.ok_or_else(|| InvalidKind {
            text: text.chars().take(80).collect(),
        })
    }
}

impl Happening {
    /// Its kind; `None` is for everybody.
    pub fn kind(&self) -> Option<EventKind> {
        Some(match self {
            Self::LeaderChanged { .. } => EventKind::Leader,
            Self::ConfigurationChanged { .. } => EventKind::Membership,
            Self::SnapshotTaken { .. }
            | Self::SnapshotSent { .. }
            | Self::SnapshotReceived { .. }
            | Self::SnapshotInstalled { .. } => EventKind::Snapshot,
            Self::FsmHosted
            | Self::FsmStarted { .. }
            | Self::FsmUpgraded { .. }
            | Self::FsmRemoved
            | Self::FsmHalted { .. } => EventKind::Fsm,
            Self::PeerUp { .. } | Self::PeerDown { .. } => EventKind::Peer,
            Self::ConfigChanged { .. } | Self::Draining { .. } => EventKind::Node,
            Self::Lagged { .. } => return None,
        })
    }
}

/// Which events somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Of these kinds; empty: of all.
    pub kinds: BTreeSet<EventKind>,
    /// About this fsm only.
    pub fsm: Option<String>,
}

impl EventFilter {
    /// Whether an event is wanted. That a follower missed some is always told.
    pub fn wants(&self, event: &Event) -> bool {
        let Some(kind) = event.what.kind() else {
            return true;
        };
        let named = self.fsm.is_none() || self.fsm == event.fsm;
        named && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: Happening, fsm: Option<&str>) -> Event {
        Event {
            id: 7,
            time_ms: 1,
            node: 1,
            group: fsm.map(|_| 3),
            fsm: fsm.map(str::to_owned),
            what,
        }
    }

    #[test]
    fn an_event_comes_back_from_one_flat_object() {
        let what = Happening::LeaderChanged {
            term: 4,
            leader: Some(2),
            leads: false,
        };
        let before = event(what, Some("kv"));
        let json = serde_json::to_string(&before).expect("events are json");
        assert_eq!(
            json,
            r#"{"id":7,"time_ms":1,"node":1,"group":3,"fsm":"kv","type":"leader_changed","term":4,"leader":2,"leads":false}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&json).expect(&json), before);
    }

    #[test]
    fn a_filter_lets_through_what_was_asked_for_and_that_some_were_missed() {
        let filter = EventFilter {
            kinds: BTreeSet::from([EventKind::Snapshot]),
            fsm: Some("kv".into()),
        };
        let taken = || Happening::SnapshotTaken { index: 1 };
        let lagged = Happening::Lagged { missed: None };
        assert!(filter.wants(&event(taken(), Some("kv"))));
        assert!(filter.wants(&event(lagged, None)));
        assert!(!filter.wants(&event(taken(), Some("other"))));
        assert!(!filter.wants(&event(Happening::FsmRemoved, Some("kv"))));
        assert!(EventFilter::default().wants(&event(Happening::FsmRemoved, None)));
    }
}
