//! A leader feeding its peers: probing, pipelining, rejections, reading back from the log.

use crate::core::Core;
use crate::impossible::{Impossible, impossible};
use crate::leader::Leader;
use crate::progress::{Feed, Progress};
use crate::{AppendOutcome, Effect, Entry, Index, LogId, Message, ReplicaId};

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
        for (to, peer) in &mut self.peers {
            let news = even_empty && tells_commit(peer, core);
            feed(core, *to, peer, news);
        }
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
                if !(news && self.advance_commit(core)) {
                    self.replicate(core, from, false);
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
    pub(crate) fn on_heartbeat_reply(&mut self, core: &mut Core, from: ReplicaId, round: u64) {
        let known = self.reads.round();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        peer.active = true;
        if round <= known {
            peer.round = peer.round.max(round);
        }
        if let Feed::Probe { paused } = &mut peer.feed {
            *paused = false;
        }
        let behind = peer.matched < core.log.last().index;
        self.replicate(core, from, behind);
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

    pub(crate) fn on_snapshot_sent(&mut self, to: ReplicaId, delivered: bool) {
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.on_snapshot_sent(delivered);
        }
    }

    fn replicate(&mut self, core: &mut Core, to: ReplicaId, even_empty: bool) {
        if let Some(peer) = self.peers.get_mut(&to) {
            feed(core, to, peer, even_empty);
        }
    }
}

/// Sends everything that the peer's window admits.
fn feed(core: &mut Core, to: ReplicaId, peer: &mut Progress, mut even_empty: bool) {
    loop {
        match plan(core, peer, even_empty) {
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
                let last = core.log.snapshot().index;
                peer.feed = Feed::Snapshot { last };
                core.out.events.push(Effect::SendSnapshot { to });
                return;
            }
        }
        even_empty = false;
    }
}

fn plan(core: &Core, peer: &Progress, even_empty: bool) -> Plan {
    let (config, log) = (&core.config, &core.log);
    let (probing, full) = match &peer.feed {
        Feed::Snapshot { .. } | Feed::Probe { paused: true } => return Plan::Nothing,
        Feed::Probe { paused: false } => (true, false),
        Feed::Replicate(inflight) => (false, inflight.is_full(config)),
    };
    if peer.next <= log.floor().index {
        return Plan::Snapshot;
    }
    let (next, last) = (peer.next, log.last().index);
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
    let through = log.uncached().min(next.saturating_add(most - 1));
    Plan::ReadLog {
        from: next,
        through,
    }
}

fn send_append(core: &mut Core, to: ReplicaId, peer: &mut Progress, entries: Vec<Entry>) {
    let index = peer.next - 1;
    let Some(term) = core.log.term_at(index) else {
        return;
    };
    let last = entries.last().map_or(index, |entry| entry.index);
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

/// Whether an empty append would tell a pipelined peer of commitment that it has not been told.
fn tells_commit(peer: &Progress, core: &Core) -> bool {
    match &peer.feed {
        Feed::Replicate(inflight) => {
            !inflight.is_full(&core.config) && peer.told_commit < core.commit.min(peer.next - 1)
        }
        _ => false,
    }
}
