//! A leader feeding its peers: probing, pipelining, rejections, reading back from the log.

use bytes::Bytes;

use crate::core::Core;
use crate::impossible::{Impossible, impossible};
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::progress::{Feed, Progress};
use crate::{
    AppendOutcome, Effect, Entry, EntryKind, Index, LogId, Message, ReplicaId, SnapshotMeta,
};

/// What a peer should get next.
enum Plan {
    Nothing,
    Append(Vec<Entry>),
    ReadLog { from: Index, through: Index },
    Snapshot,
}

impl Leader {
    /// Feeds every peer. `even_empty`: also those that have everything, to tell them the commit
    /// index.
    pub(crate) fn replicate_all(&mut self, core: &mut Core, even_empty: bool) {
        let limit = self.witness_limit(core);
        for (to, peer) in &mut self.peers {
            let news = even_empty && tells_commit(peer, core);
            feed(core, *to, peer, limit, news);
        }
    }

    /// A full voter has more on its disk than before.
    pub(crate) fn feed_witnesses(&mut self, core: &mut Core) {
        if core.log.configuration().witnesses.is_empty() {
            return;
        }
        let limit = self.witness_limit(core);
        let witnesses = self.peers.iter_mut().filter(|(_, peer)| peer.witness);
        witnesses.for_each(|(to, peer)| feed(core, *to, peer, limit, false));
    }

    /// What witnesses may have: what is durable at a full voter, of both halves. A witness alone
    /// with an entry would refuse its vote to everybody who could lead.
    fn witness_limit(&self, core: &Core) -> Index {
        let now = core.log.configuration();
        if now.witnesses.is_empty() || mutant!(WitnessFirst) {
            return Index::MAX;
        }
        let durable = |id: &ReplicaId| match self.peers.get(id) {
            Some(peer) => peer.matched,
            None if *id == core.id() => core.log.durable(),
            None => 0,
        };
        let halves = [&now.voters, &now.outgoing].into_iter();
        let highest = halves.filter_map(|half| half.difference(&now.witnesses).map(durable).max());
        highest.min().unwrap_or(0)
    }

    pub(crate) fn on_append_reply(
        &mut self,
        core: &mut Core,
        from: ReplicaId,
        outcome: AppendOutcome,
    ) -> Result<(), Impossible> {
        let Some(peer) = self.peers.get_mut(&from) else {
            return Ok(());
        };
        peer.active = true;
        match outcome {
            AppendOutcome::Matched { index } => {
                let last = core.log.last();
                if index > last.index {
                    return impossible!("{from} matches up to {index}, but the log ends at {last}");
                }
                let news = peer.on_matched(index, core.log.floor().index);
                let untold = tells_commit(peer, core);
                if !(news && self.advance_commit(core)) {
                    self.replicate(core, from, untold);
                }
                if news {
                    self.feed_witnesses(core);
                }
            }
            AppendOutcome::Rejected { rejected, hint } => {
                let floor = core.log.floor();
                let agree = if hint.index < floor.index {
                    hint
                } else {
                    core.log.at_most(hint)
                };
                if peer.on_rejected(rejected, agree) {
                    self.replicate(core, from, false);
                }
            }
        }
        Ok(())
    }

    /// A sign of life: a probe may be tried again, and a peer that lacks something is asked where
    /// it stands even if its window is full, since the answers that would open it may be lost.
    pub(crate) fn on_heartbeat_reply(
        &mut self,
        core: &mut Core,
        from: ReplicaId,
        round: u64,
        priority: u8,
    ) {
        let known = self.reads.round();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.active = true;
        peer.priority = priority;
        if round <= known {
            peer.round = peer.round.max(round);
        }
        if mutant!(ReadStaleEcho) {
            peer.round = known;
        }
        if let Feed::Probe { paused } = &mut peer.feed {
            *paused = false;
        }
        let behind = peer.matched < core.log.last().index;
        self.replicate(core, from, behind && !mutant!(FullWindowUnasked));
        self.finish_rounds(core);
    }

    /// The entries asked for by [`Effect::ReadLog`].
    pub(crate) fn on_log_read(&mut self, core: &mut Core, to: ReplicaId, entries: Vec<Entry>) {
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let Some(from) = peer.reading.take() else {
            return;
        };
        let wanted = from == peer.next && matches!(peer.feed, Feed::Replicate(_));
        if wanted {
            let ours = (from..).zip(&entries);
            let ours = ours.filter(|(index, e)| e.index == *index && core.log.holds(e.id()));
            if entries.is_empty() || ours.count() != entries.len() {
                // Gone, or of another history: look again, at the pace of heartbeats.
                peer.probe(true);
            } else if from > core.log.floor().index {
                send_append(core, to, peer, entries);
            }
        }
        self.replicate(core, to, false);
    }

    pub(crate) fn on_snapshot_sent(&mut self, to: ReplicaId) {
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.on_snapshot_sent();
        }
    }

    fn replicate(&mut self, core: &mut Core, to: ReplicaId, even_empty: bool) {
        let limit = self.witness_limit(core);
        if let Some(peer) = self.peers.get_mut(&to) {
            feed(core, to, peer, limit, even_empty);
        }
    }
}

/// Sends everything that the peer's window admits.
fn feed(core: &mut Core, to: ReplicaId, peer: &mut Progress, limit: Index, mut even_empty: bool) {
    loop {
        match plan(core, peer, limit, even_empty) {
            Plan::Nothing => return,
            Plan::Append(entries) => send_append(core, to, peer, entries),
            Plan::ReadLog { from, through } => {
                peer.reading = Some(from);
                let max_bytes = core.config.max_append_bytes;
                core.out.events.push(Effect::ReadLog {
                    to,
                    from,
                    through,
                    max_bytes,
                });
                return;
            }
            Plan::Snapshot => {
                offer_snapshot(core, to, peer);
                return;
            }
        }
        even_empty = false;
    }
}

/// A witness has no state: what the snapshot covers is all it needs, and it installs that without
/// a file. Whether it arrived shows in the answer to the next probe.
fn offer_snapshot(core: &mut Core, to: ReplicaId, peer: &mut Progress) {
    let last = core.log.snapshot();
    peer.feed = Feed::Snapshot { last: last.index };
    if !peer.witness {
        core.out.events.push(Effect::SendSnapshot { to });
        return;
    }
    if let Some(configuration) = core.log.configuration_at(last.index).cloned() {
        let meta = SnapshotMeta {
            last,
            configuration,
        };
        core.send(to, Message::Snapshot { meta });
    }
    peer.on_snapshot_sent();
}

fn plan(core: &Core, peer: &Progress, limit: Index, even_empty: bool) -> Plan {
    let (config, log) = (&core.config, &core.log);
    let (probing, full) = match &peer.feed {
        Feed::Snapshot { .. } | Feed::Probe { paused: true } => return Plan::Nothing,
        Feed::Probe { paused: false } => (true, false),
        Feed::Replicate(inflight) => (false, inflight.is_full(config)),
    };
    if peer.next <= log.floor().index {
        return Plan::Snapshot;
    }
    let limit = if peer.witness { limit } else { Index::MAX };
    let (next, last) = (peer.next, log.last().index.min(limit));
    let reading = peer.reading.is_some() && !probing;
    if full || reading || next > last {
        return if probing || even_empty {
            Plan::Append(Vec::new())
        } else {
            Plan::Nothing
        };
    }
    let max_entries = config.max_append_entries.max(1);
    if let Some(entries) = log.cached(next, last, config.max_append_bytes, max_entries) {
        return Plan::Append(entries);
    }
    if probing {
        // Where the logs meet is not worth a read; ask without entries.
        return Plan::Append(Vec::new());
    }
    let most = u64::try_from(max_entries).unwrap_or(u64::MAX);
    let through = log.uncached().min(last).min(next.saturating_add(most - 1));
    Plan::ReadLog {
        from: next,
        through,
    }
}

fn send_append(core: &mut Core, to: ReplicaId, peer: &mut Progress, mut entries: Vec<Entry>) {
    let index = peer.next - 1;
    let Some(term) = core.log.term_at(index) else {
        return;
    };
    let last = entries.last().map_or(index, |entry| entry.index);
    if peer.witness {
        strip(&mut entries);
    }
    let bytes = entries.iter().map(|entry| entry.payload.len()).sum();
    let commit = core.commit;
    peer.on_sent(last, bytes);
    peer.told_commit = peer.told_commit.max(commit.min(last));
    let message = Message::Append {
        prev: LogId { term, index },
        entries,
        commit,
    };
    core.send(to, message);
}

/// What a witness keeps: everything but the payloads of commands.
fn strip(entries: &mut [Entry]) {
    let commands = entries.iter_mut().filter(|e| e.kind == EntryKind::Normal);
    commands.for_each(|entry| entry.payload = Bytes::new());
}

/// Whether an empty append would tell a pipelined peer of commitment that it has not been told.
fn tells_commit(peer: &Progress, core: &Core) -> bool {
    match &peer.feed {
        Feed::Replicate(inflight) => {
            !inflight.is_full(&core.config) && peer.told_commit < core.commit.min(peer.next - 1)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        config, elect, from, heartbeat_reply, id, initial, leader, matched, persisted, propose,
        rejected, replica, step,
    };
    use crate::{Config, Configuration, Input, Instant, NodeId, ProgressState, Raft, SnapshotMeta};

    const NOTHING: [&str; 0] = [];

    /// What is sent to node 2, without the address.
    fn to_two(effects: Vec<String>) -> Vec<String> {
        let sent = effects.iter();
        let sent = sent.filter_map(|e| e.strip_prefix("send n1.0->n2.0 t2 "));
        sent.map(str::to_owned).collect()
    }

    fn state(raft: &Raft) -> (ProgressState, u64, u64) {
        let peer = raft.status().peers[0];
        (peer.state, peer.matched, peer.next)
    }

    #[test]
    fn a_probe_is_out_at_most_once_until_something_is_heard() {
        let mut raft = leader(&[1]);
        assert_eq!(to_two(step(&mut raft, propose("a"))), NOTHING);
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
            ["append prev=1/1 [2/2 noop, 2/3 \"a\"] commit=0"]
        );
        assert_eq!(to_two(step(&mut raft, propose("b"))), NOTHING);
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, matched(3)))),
            ["append prev=2/3 [2/4 \"b\"] commit=0"]
        );
        assert_eq!(
            to_two(step(&mut raft, propose("c"))),
            ["append prev=2/4 [2/5 \"c\"] commit=0"],
            "pipelined"
        );
    }

    #[test]
    fn rejections_are_followed_to_where_the_logs_meet() {
        let mut raft = leader(&[1, 1, 1, 1]);
        assert_eq!(state(&raft), (ProgressState::Probe, 0, 5));
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, rejected(4, id(1, 2))))),
            ["append prev=1/2 [] commit=0"],
            "the entries are not cached, and a probe is not worth a read"
        );
        let effects = step(&mut raft, from(2, 2, matched(2)));
        assert_eq!(effects, ["read-log 3..=4 max=1048576 for n2.0"]);
        assert_eq!(state(&raft), (ProgressState::Replicate, 2, 3));
    }

    #[test]
    fn entries_read_from_the_log_are_sent_and_the_rest_follows_from_the_cache() {
        let mut raft = leader(&[1, 1]);
        step(&mut raft, from(2, 2, matched(1)));
        let entries = vec![crate::testing::entry(1, 2)];
        let to = replica(2);
        assert_eq!(
            to_two(step(&mut raft, Input::LogRead { to, entries })),
            [
                "append prev=1/1 [1/2 \"e2\"] commit=0",
                "append prev=1/2 [2/3 noop] commit=0"
            ]
        );
    }

    #[test]
    fn a_late_read_for_another_place_is_not_sent() {
        let mut raft = leader(&[1, 1]);
        step(&mut raft, from(2, 2, matched(1)));
        step(&mut raft, from(2, 2, matched(2)));
        let entries = vec![crate::testing::entry(1, 2)];
        let to = replica(2);
        assert_eq!(
            to_two(step(&mut raft, Input::LogRead { to, entries })),
            ["append prev=1/2 [2/3 noop] commit=0"]
        );
    }

    #[test]
    fn a_read_that_found_nothing_or_another_history_is_tried_again_at_a_heartbeat() {
        for entries in [vec![], vec![crate::testing::entry(2, 2)]] {
            let mut raft = leader(&[1, 1]);
            step(&mut raft, from(2, 2, matched(1)));
            let to = replica(2);
            let effects = step(&mut raft, Input::LogRead { to, entries });
            assert_eq!(effects, NOTHING);
            assert_eq!(state(&raft), (ProgressState::Probe, 1, 2));
            assert_eq!(
                to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
                ["append prev=1/1 [] commit=0"]
            );
        }
    }

    #[test]
    fn a_full_window_stops_the_pipeline_and_a_heartbeat_reply_probes_past_it() {
        let config = Config {
            max_inflight_appends: 2,
            ..config(1)
        };
        let mut raft = elect(Raft::new(config, initial(&[1]), Instant(0), 0));
        step(&mut raft, from(2, 2, matched(2)));
        assert_eq!(to_two(step(&mut raft, propose("a"))).len(), 1);
        assert_eq!(to_two(step(&mut raft, propose("b"))).len(), 1);
        assert_eq!(to_two(step(&mut raft, propose("c"))), NOTHING);
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
            ["append prev=2/4 [] commit=0"]
        );
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, rejected(4, id(2, 2))))),
            ["append prev=2/2 [2/3 \"a\", 2/4 \"b\", 2/5 \"c\"] commit=0"],
            "what was in flight was lost"
        );
    }

    #[test]
    fn appends_keep_their_limits() {
        let config = Config {
            max_append_entries: 2,
            max_append_bytes: 4,
            ..config(1)
        };
        let mut raft = elect(Raft::new(config, initial(&[1]), Instant(0), 0));
        for payload in ["aaa", "b", "c", "dddddddd", "e"] {
            step(&mut raft, propose(payload));
        }
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, matched(2)))),
            [
                "append prev=2/2 [2/3 \"aaa\", 2/4 \"b\"] commit=0",
                "append prev=2/4 [2/5 \"c\"] commit=0",
                "append prev=2/5 [2/6 \"dddddddd\"] commit=0",
                "append prev=2/6 [2/7 \"e\"] commit=0"
            ]
        );
    }

    #[test]
    fn a_lost_connection_goes_back_to_probing_from_the_match() {
        let mut raft = leader(&[1]);
        step(&mut raft, from(2, 2, matched(2)));
        step(&mut raft, propose("a"));
        assert_eq!(state(&raft), (ProgressState::Replicate, 2, 4));
        assert_eq!(step(&mut raft, Input::PeerDown(NodeId(2))), NOTHING);
        assert_eq!(state(&raft), (ProgressState::Probe, 2, 3));
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
            ["append prev=2/2 [2/3 \"a\"] commit=0"]
        );
    }

    /// The leader of term 2 with entries up to 3, of which 1 and 2 are compacted away.
    fn compacted() -> Raft {
        let mut raft = leader(&[1, 1]);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(3, 2, matched(3)));
        let snapshot = SnapshotMeta {
            last: id(1, 2),
            configuration: Configuration::initial([1, 2, 3].map(NodeId)),
        };
        let floor = id(1, 2);
        step(&mut raft, Input::Compacted { floor, snapshot });
        raft
    }

    #[test]
    fn a_peer_below_the_floor_gets_the_snapshot_and_then_the_rest() {
        let mut raft = compacted();
        assert_eq!(
            step(&mut raft, from(2, 2, rejected(2, id(0, 0)))),
            ["send-snapshot n2.0"]
        );
        assert_eq!(step(&mut raft, from(2, 2, heartbeat_reply(0))), NOTHING);
        let (to, delivered) = (replica(2), true);
        step(&mut raft, Input::SnapshotSent { to, delivered });
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, matched(2)))),
            ["append prev=1/2 [2/3 noop] commit=3"]
        );
    }

    #[test]
    fn an_undelivered_snapshot_is_sent_again_once_the_peer_lacks_it_still() {
        let mut raft = compacted();
        step(&mut raft, from(2, 2, rejected(2, id(0, 0))));
        let (to, delivered) = (replica(2), false);
        let effects = step(&mut raft, Input::SnapshotSent { to, delivered });
        assert_eq!(effects, NOTHING);
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
            ["append prev=1/2 [2/3 noop] commit=3"]
        );
        assert_eq!(
            step(&mut raft, from(2, 2, rejected(2, id(0, 0)))),
            ["send-snapshot n2.0"]
        );
    }

    #[test]
    fn a_peer_that_refuses_a_snapshot_it_holds_is_fed_from_the_log() {
        let mut raft = compacted();
        step(&mut raft, from(2, 2, rejected(2, id(0, 0))));
        let (to, delivered) = (replica(2), false);
        step(&mut raft, Input::SnapshotSent { to, delivered });
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        step(&mut raft, from(2, 2, matched(3)));
        assert_eq!(state(&raft), (ProgressState::Replicate, 3, 4));
    }

    #[test]
    fn a_lost_connection_to_a_peer_that_never_answered_asks_for_no_snapshot() {
        let mut raft = compacted();
        assert_eq!(step(&mut raft, Input::PeerDown(NodeId(2))), NOTHING);
        assert_eq!(
            to_two(step(&mut raft, from(2, 2, heartbeat_reply(0)))),
            ["append prev=1/2 [2/3 noop] commit=3"]
        );
    }

    #[test]
    fn answers_of_strangers_are_ignored() {
        let mut raft = leader(&[1]);
        let before = raft.clone();
        for message in [matched(2), rejected(1, id(0, 0)), heartbeat_reply(0)] {
            assert_eq!(step(&mut raft, from(9, 2, message)), NOTHING);
        }
        assert_eq!(raft, before);
    }
}
