//! The leader of a term.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::core::Core;
use crate::impossible::Impossible;
use crate::lease::Lease;
use crate::mutant::mutant;
use crate::progress::Progress;
use crate::quorum::{VoteResult, vote_result};
use crate::read_index::Reads;
use crate::transfer::Transfer;
use crate::{
    Effect, Entry, EntryKind, Index, Message, NodeId, PeerStatus, PersistId, ProposalId,
    RefuseReason, ReplicaId,
};

/// Uncommitted entries of a leader's own term, whatever their size, above which proposals are
/// refused: payloads may be empty.
const MAX_UNCOMMITTED_ENTRIES: usize = 1 << 16;

/// What only a leader knows. Replication is in `replication`, commitment in `commit`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Everybody in the configuration but this replica, and those whom it removed and who do not
    /// know it yet. Nobody else: see [`Raft::gives_way_to`](crate::Raft::gives_way_to).
    pub(crate) peers: BTreeMap<ReplicaId, Progress>,
    /// Some of them are not in the configuration in force.
    pub(crate) departing: bool,
    /// Index of the no-op that opened the term.
    pub(crate) first: Index,
    pub(crate) uncommitted: Uncommitted,
    pub(crate) reads: Reads,
    pub(crate) transfer: Option<Transfer>,
    /// Heartbeats in a row that found nothing to do.
    pub(crate) idle: u32,
    /// The group has fallen silent; no timer runs.
    pub(crate) quiet: bool,
    /// Somebody was told to campaign in this term.
    pub(crate) let_go: bool,
    /// The oldest write under way at the last quorum check: if it still is at the next, the disk
    /// hangs.
    stalled: Option<PersistId>,
}

impl Leader {
    pub(crate) fn new(core: &Core) -> Self {
        let last = core.log.last().index;
        let now = core.log.configuration();
        let peers = now.members().into_iter().filter(|id| *id != core.id());
        let progress = |id| (id, Progress::new(last, now.is_witness(id)));
        Self {
            peers: peers.map(progress).collect(),
            departing: false,
            first: last + 1,
            uncommitted: Uncommitted::default(),
            reads: Reads::default(),
            transfer: None,
            idle: 0,
            quiet: false,
            let_go: false,
            stalled: None,
        }
    }

    /// Opens the term with an entry of it: what is before can only be committed through it
    /// (thesis §3.6.2), and reads wait for it (§6.4).
    pub(crate) fn open_term(&mut self, core: &mut Core) -> Result<(), Impossible> {
        self.append(core, EntryKind::Noop, Bytes::new())?;
        core.clock.restart_heartbeat(&core.config);
        core.clock.restart_quorum_check(&core.config);
        core.clock.lease = Lease::default();
        Ok(())
    }

    pub(crate) fn propose(
        &mut self,
        core: &mut Core,
        id: ProposalId,
        payload: Bytes,
    ) -> Result<(), Impossible> {
        if let Err(reason) = self.admits(payload.len(), core) {
            core.out.events.push(Effect::Refused {
                id,
                reason,
                payload,
            });
            return Ok(());
        }
        self.append(core, EntryKind::Normal, payload)?;
        let position = core.log.last();
        core.out.events.push(Effect::Accepted { id, position });
        Ok(())
    }

    fn admits(&self, bytes: usize, core: &Core) -> Result<(), RefuseReason> {
        if self.is_transferring() {
            return Err(RefuseReason::Transferring);
        }
        if core.writes.is_full() {
            return Err(RefuseReason::Busy);
        }
        match self.uncommitted.admits(bytes, core) {
            true => Ok(()),
            false => Err(RefuseReason::Uncommitted),
        }
    }

    /// The driver's timer says that followers are owed a sign of life.
    pub(crate) fn on_heartbeat_timeout(&mut self, core: &mut Core) {
        if self.fall_silent(core) {
            return;
        }
        core.clock.restart_heartbeat(&core.config);
        self.repeat_transfer();
        if !self.start_round(core) {
            self.renew_lease(core);
            self.broadcast_heartbeat(core);
        }
        self.reads.by_lease = false;
    }

    pub(crate) fn broadcast_heartbeat(&mut self, core: &mut Core) {
        let (round, lease) = (self.reads.round(), self.reads.by_lease);
        for (id, peer) in &mut self.peers {
            let commit = core.commit.min(peer.matched);
            peer.told_commit = peer.told_commit.max(commit);
            core.send(
                *id,
                Message::Heartbeat {
                    commit,
                    round,
                    lease,
                },
            );
        }
    }

    /// Whether to go on leading: a quorum was heard since the last check, and the own disk has
    /// finished something (thesis §6.2; a hung disk must not be hidden by heartbeats).
    pub(crate) fn check_quorum(&mut self, core: &mut Core) -> bool {
        core.clock.restart_quorum_check(&core.config);
        self.forget_the_removed(core);
        let own = core.id();
        let active = |id: &ReplicaId| {
            let active = self.peers.get(id).is_some_and(|peer| peer.active);
            Some(active || *id == own)
        };
        let heard = vote_result(core.log.configuration(), active) == VoteResult::Won;
        let oldest = core.writes.oldest();
        let hangs = oldest.is_some() && oldest == self.stalled && !self.peers.is_empty();
        self.stalled = oldest;
        self.peers.values_mut().for_each(Progress::begin_period);
        !core.config.check_quorum || (heard && !hangs) || mutant!(CheckQuorumNever)
    }

    /// The connection is gone, and with it whatever was on its way.
    pub(crate) fn on_peer_down(&mut self, node: NodeId) {
        for (_, peer) in self.peers.iter_mut().filter(|(id, _)| id.node == node) {
            peer.on_connection_lost();
        }
    }

    /// Every read that waits is refused: whoever leads next has to be asked again.
    pub(crate) fn resign(mut self, core: &mut Core, leader: Option<ReplicaId>) {
        let reason = RefuseReason::NotLeader { leader };
        for reader in self.reads.drain() {
            core.refuse_read(reader, reason);
        }
    }

    pub(crate) fn peer_status(&self) -> Vec<PeerStatus> {
        let status = |(id, peer): (&ReplicaId, &Progress)| PeerStatus {
            id: *id,
            matched: peer.matched,
            next: peer.next,
            state: peer.state(),
            active: peer.is_active(),
            inflight_appends: peer.inflight().0,
            inflight_bytes: peer.inflight().1,
        };
        self.peers.iter().map(status).collect()
    }

    /// Appends to the own log and sends it on at once, in parallel with the own disk.
    pub(crate) fn append(
        &mut self,
        core: &mut Core,
        kind: EntryKind,
        payload: Bytes,
    ) -> Result<(), Impossible> {
        let index = core.log.last().index + 1;
        self.uncommitted.push(index, payload.len());
        core.append(Entry {
            term: core.term(),
            index,
            kind,
            payload,
        })?;
        self.replicate_all(core, false);
        Ok(())
    }
}

/// Sizes of the entries of the own term that are not committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Uncommitted {
    entries: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Uncommitted {
    /// One entry is always admitted, however large.
    fn admits(&self, bytes: usize, core: &Core) -> bool {
        let total = self.bytes.saturating_add(bytes);
        let fits = self.bytes == 0 || total <= core.config.max_uncommitted_bytes;
        fits && self.entries.len() < MAX_UNCOMMITTED_ENTRIES
    }

    fn push(&mut self, index: Index, bytes: usize) {
        self.entries.push_back((index, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn release(&mut self, commit: Index) {
        while let Some((_, bytes)) = self.entries.pop_front_if(|(index, _)| *index <= commit) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
