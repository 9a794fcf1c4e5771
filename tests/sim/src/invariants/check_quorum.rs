//! Check-quorum (thesis §6.2): a leader that hears no quorum steps down, within a bounded time of its
//! own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_proto::{Configuration, Envelope, Index, Instant, Message, NodeId, ReplicaId, Term};

use super::membership::is_quorum;
use super::{Check, violated};

/// A leader looks once in an election timeout, so what it heard just after one look carries it over
/// the next; half a timeout more is for late timers. In quarters of the election timeout.
const PATIENCE: u32 = 10;

/// Those who lead.
#[derive(Debug, Default)]
pub(super) struct CheckQuorum {
    election_timeout: Duration,
    leaders: BTreeMap<NodeId, Reign>,
}

/// One that leads.
#[derive(Debug)]
struct Reign {
    own: ReplicaId,
    term: Term,
    /// Its clock at its last turn.
    now: Instant,
    /// How long it has been leading. A pause counts as one election timeout.
    awake: Duration,
    /// When somebody was last heard, on that scale.
    heard: BTreeMap<ReplicaId, Duration>,
    /// Since then a quorum by this configuration is asked for. A pause begins it anew: when the
    /// last look before it was is not known, and the next one comes a timer later.
    since: Duration,
    configuration: Index,
    /// The group has fallen silent, and nobody has to be heard.
    quiet: bool,
    /// When to look next.
    next: Duration,
}

impl CheckQuorum {
    /// With this election timeout.
    pub(super) fn new(election_timeout: Duration) -> Self {
        Self {
            election_timeout,
            ..Self::default()
        }
    }

    /// A node says who leads. `now`: its clock.
    pub(super) fn leads(
        &mut self,
        at: NodeId,
        now: Instant,
        term: Term,
        leader: Option<ReplicaId>,
    ) {
        let Some(own) = leader.filter(|leader| leader.node == at) else {
            self.leaders.remove(&at);
            return;
        };
        if self.leaders.get(&at).is_none_or(|reign| reign.term != term) {
            let reign = Reign {
                own,
                term,
                now,
                awake: Duration::ZERO,
                heard: BTreeMap::new(),
                since: Duration::ZERO,
                configuration: 0,
                quiet: false,
                next: Duration::ZERO,
            };
            self.leaders.insert(at, reign);
        }
    }

    /// A node stopped.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.leaders.remove(&at);
    }

    /// A node begins a turn.
    pub(super) fn takes(&mut self, at: NodeId, now: Instant) {
        if let Some(reign) = self.leaders.get_mut(&at) {
            let passed = now.since(reign.now);
            reign.awake += passed.min(self.election_timeout);
            reign.now = now;
            if passed > self.election_timeout / 2 {
                reign.since = reign.awake;
            }
        }
    }

    /// In this turn it receives this, addressed to the replica that it hosts.
    pub(super) fn heard(&mut self, envelope: &Envelope) {
        if let Some(reign) = self.leaders.get_mut(&envelope.to.node)
            && reign.term == envelope.term
        {
            reign.heard.insert(envelope.from, reign.awake);
        }
    }

    /// A node sends this.
    pub(super) fn sent(&mut self, envelope: &Envelope) {
        let Some(reign) = self.leaders.get_mut(&envelope.from.node) else {
            return;
        };
        match envelope.message {
            Message::Quiesce { .. } => reign.quiet = true,
            Message::Heartbeat { .. } | Message::Append { .. } if reign.quiet => {
                reign.quiet = false;
                reign.since = reign.awake;
            }
            _ => {}
        }
    }

    /// A turn is over. `configuration`: gives the last one in the node's log.
    pub(super) fn turned(
        &mut self,
        at: NodeId,
        configuration: impl FnOnce() -> Option<Configuration>,
    ) -> Check {
        let step = self.election_timeout / 4;
        let Some(reign) = self.leaders.get_mut(&at) else {
            return Ok(());
        };
        if reign.quiet || reign.awake < reign.next {
            return Ok(());
        }
        reign.next = reign.awake + step;
        match configuration() {
            Some(configuration) => reign.look(&configuration, step * PATIENCE),
            None => Ok(()),
        }
    }
}

impl Reign {
    fn look(&mut self, configuration: &Configuration, patience: Duration) -> Check {
        if self.configuration != configuration.index {
            self.configuration = configuration.index;
            self.since = self.awake;
        }
        let hears = |id: &ReplicaId| {
            let heard = self.heard.get(id).copied().unwrap_or_default();
            *id == self.own || self.awake - heard.max(self.since) <= patience
        };
        if is_quorum(configuration, hears) {
            return Ok(());
        }
        let (own, term) = (self.own, self.term);
        violated(
            "check-quorum",
            format!(
                "{own} leads term {term} and has heard no quorum of {configuration} for {patience:?}"
            ),
        )
    }
}
