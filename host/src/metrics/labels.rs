//! Labels. Every set of values is closed, or bounded by a named limit.

use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// What a family's labels can do.
pub(super) trait Labels: Clone + Hash + Eq + std::fmt::Debug {}

impl<L: Clone + Hash + Eq + std::fmt::Debug> Labels for L {}

/// An fsm, or `_system` for group 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Fsm {
    pub(crate) fsm: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FsmRole {
    pub(super) fsm: String,
    pub(super) role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FsmState {
    pub(super) fsm: String,
    pub(super) state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FsmResult {
    pub(super) fsm: String,
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FsmPeer {
    pub(super) fsm: String,
    pub(super) peer: u64,
}

/// The plugin an fsm runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FsmPlugin {
    pub(super) fsm: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Peer {
    pub(super) peer: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PeerDir {
    pub(super) peer: u64,
    pub(super) dir: Direction,
}

/// A peer, and a word of the closed set of failures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PeerReason {
    pub(super) peer: u64,
    pub(super) reason: &'static str,
}

/// Which certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Cert {
    pub(super) cert: &'static str,
}

/// How a node's request to join ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Join {
    pub(super) result: Joined,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Dir {
    pub(super) dir: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Result {
    pub(super) result: Ended,
}

/// A word of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Thread {
    pub(super) thread: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Part {
    pub(super) part: &'static str,
}

/// A path as it was registered, never as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Route {
    pub(super) route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteCode {
    pub(super) route: String,
    pub(super) code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Sent,
    Received,
}

impl EncodeLabelValue for Direction {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let word = match self {
            Self::Sent => "sent",
            Self::Received => "received",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

/// How a proposal ended, as its client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ended {
    /// Applied, whatever the state machine said.
    Applied,
    /// Certainly not applied.
    NotApplied,
    /// Nobody knows.
    Unknown,
}

impl Ended {
    pub(super) const ALL: [Self; 3] = [Self::Applied, Self::NotApplied, Self::Unknown];
}

impl EncodeLabelValue for Ended {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let word = match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

/// How a node's request to join ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Joined {
    /// It is a node of the cluster.
    Admitted,
    /// Its ticket, or what it asked for, is not good.
    Refused,
    /// It may ask again: no leader, or no time.
    Failed,
}

impl Joined {
    pub(super) const ALL: [Self; 3] = [Self::Admitted, Self::Refused, Self::Failed];
}

impl EncodeLabelValue for Joined {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        let word = match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}
