//! Membership changes on their way through the log (thesis §4).
//!
//! A configuration is in force from its append and rolled back with it; what cannot be taken back
//! (forgetting a member, leaving the joint configuration, stepping down) waits for its commitment.

use bytes::Bytes;

use crate::core::Core;
use crate::impossible::Impossible;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::progress::Progress;
use crate::raft::refuse;
use crate::role::State;
use crate::{
    ChangeRefusal, Configuration, ConfigurationChange, Effect, EntryKind, Input, ProposalId, Raft,
    RefuseReason, ReplicaId,
};

impl Raft {
    pub(crate) fn on_change_configuration(
        &mut self,
        id: ProposalId,
        change: ConfigurationChange,
    ) -> Result<(), Impossible> {
        self.wake();
        if let State::Leader(leader) = &mut self.state {
            return leader.change_configuration(&mut self.core, id, &change);
        }
        let leader = self.leader();
        let input = Input::ChangeConfiguration { id, change };
        refuse(input, leader, &mut self.core.out.events);
        Ok(())
    }

    /// What follows from the configurations that are committed now; at the end of every step, so
    /// that whatever could not be done is tried again, and by whoever leads then.
    pub(crate) fn settle_membership(&mut self) -> Result<(), Impossible> {
        let State::Leader(leader) = &mut self.state else {
            return Ok(());
        };
        leader.forget_the_told(&self.core);
        if leader.is_removed(&self.core) && !mutant!(RemovedLeaderStays) {
            leader.hand_over(&mut self.core);
            self.become_follower(None);
            return Ok(());
        }
        leader.leave_joint(&mut self.core)
    }
}

impl Leader {
    fn change_configuration(
        &mut self,
        core: &mut Core,
        id: ProposalId,
        change: &ConfigurationChange,
    ) -> Result<(), Impossible> {
        let next = match self.check_change(core, change) {
            Ok(next) => next,
            Err(reason) => {
                let payload = Bytes::new();
                core.out.events.push(Effect::Refused {
                    id,
                    reason,
                    payload,
                });
                return Ok(());
            }
        };
        self.append_configuration(core, &next)?;
        let position = core.log.last();
        core.out.events.push(Effect::Accepted { id, position });
        Ok(())
    }

    /// The configuration that is asked for, if it may be appended now. Without an entry of the own
    /// term committed, two leaders could each change the configuration by one voter and end up
    /// with majorities that do not meet (Ongaro's correction of 2015 to thesis §4.1).
    fn check_change(
        &self,
        core: &Core,
        change: &ConfigurationChange,
    ) -> Result<Configuration, RefuseReason> {
        let now = core.log.configuration();
        let actual = now.index;
        if let Some(expected) = change.expect.filter(|expected| *expected != actual) {
            let changed = ChangeRefusal::Changed { expected, actual };
            return Err(RefuseReason::Change(changed));
        }
        if actual > core.commit && !mutant!(TwoChangesInFlight) {
            let in_progress = ChangeRefusal::InProgress { index: actual };
            return Err(RefuseReason::Change(in_progress));
        }
        if self.is_transferring() {
            return Err(RefuseReason::Transferring);
        }
        if !self.has_committed_in_term(core) && !mutant!(ChangeBeforeOwnCommit) {
            return Err(RefuseReason::Change(ChangeRefusal::NotReady));
        }
        if core.writes.is_full() {
            return Err(RefuseReason::Busy);
        }
        let index = core.log.last().index + 1;
        let next = now.change(index, &change.changes, change.transition);
        next.map_err(RefuseReason::Change)
    }

    /// In force at once: its new members are fed from here on, and its voters are counted.
    fn append_configuration(
        &mut self,
        core: &mut Core,
        next: &Configuration,
    ) -> Result<(), Impossible> {
        if self.peers.is_empty() {
            // No timer ran for a leader without peers.
            core.clock.restart_heartbeat(&core.config);
            core.clock.restart_quorum_check(&core.config);
        }
        let last = core.log.last().index;
        for id in next.members() {
            if id != core.id() && !self.peers.contains_key(&id) {
                let mut peer = Progress::new(last, next.is_witness(id));
                // The quorum check must not come before its first chance to answer.
                peer.active = true;
                self.peers.insert(id, peer);
            }
        }
        self.departing = !self.peers.keys().all(|id| next.is_member(*id));
        self.append(core, EntryKind::Configuration, next.encode())?;
        // With fewer voters a round may be confirmed that nobody answers any more.
        self.finish_rounds(core);
        Ok(())
    }

    /// Leaves a committed joint configuration that says so, whoever entered it.
    fn leave_joint(&mut self, core: &mut Core) -> Result<(), Impossible> {
        let now = core.log.configuration();
        let due = now.is_joint() && now.auto_leave && now.index <= core.commit;
        // Another entry would have to reach the target of a transfer first.
        let later = self.is_transferring() || core.writes.is_full();
        if !due || later || !self.has_committed_in_term(core) {
            return Ok(());
        }
        if mutant!(JointOfAnotherKept) && core.log.term_at(now.index) != Some(core.term()) {
            return Ok(());
        }
        match now.leave_joint(core.log.last().index + 1) {
            Ok(next) => self.append_configuration(core, &next),
            Err(_) => Ok(()),
        }
    }

    /// A removed member is fed until it has been told of its removal's commitment, or until the
    /// next quorum check ([`forget_the_removed`](Self::forget_the_removed)).
    fn forget_the_told(&mut self, core: &Core) {
        if !self.departing {
            return;
        }
        let committed = core.configuration_committed().index;
        let told = |peer: &Progress| peer.matched.min(peer.told_commit) >= committed;
        self.peers
            .retain(|id, peer| !told(peer) || core.is_in_sight(*id));
        let now = core.log.configuration();
        self.departing = !self.peers.keys().all(|id| now.is_member(*id));
    }

    pub(crate) fn forget_the_removed(&mut self, core: &Core) {
        if self.departing {
            self.peers.retain(|id, _| core.is_in_sight(*id));
        }
    }

    /// Whether it is committed that this leader is no voter, in neither half of a joint
    /// configuration.
    fn is_removed(&self, core: &Core) -> bool {
        let now = core.log.configuration();
        !now.is_voter(core.id()) && now.index <= core.commit
    }

    /// Spares the group an election timeout: the voter that has most of the log campaigns at once.
    fn hand_over(&mut self, core: &mut Core) {
        if let Some(to) = self.best(core) {
            self.tell_to_campaign(core, to);
        }
    }
}

impl Core {
    /// The newest configuration that is known to be committed.
    pub(crate) fn configuration_committed(&self) -> &Configuration {
        self.log
            .configuration_at(self.commit)
            .expect("the commit index is at or above the floor")
    }

    fn is_in_sight(&self, id: ReplicaId) -> bool {
        self.log.configuration().is_member(id) || self.configuration_committed().is_member(id)
    }

    /// Whether `id` is known to be no member, for good: the entry that would have added it is
    /// committed, the committed configuration lacks it, and no replica comes back.
    pub(crate) fn is_removed(&self, id: ReplicaId) -> bool {
        let committed = self.configuration_committed();
        let settled = 0 < id.born && id.born <= self.commit || id.born < committed.index;
        settled && !committed.voters.is_empty() && !committed.is_member(id)
    }

    /// Announces the configurations that are committed now.
    pub(crate) fn announce_configurations(&mut self) {
        let told = self.configuration_told;
        let committed = self.configuration_committed().index;
        if committed > told {
            self.configuration_told = committed;
            let news = self.log.configurations(told, committed).cloned();
            let news = news.map(|configuration| Effect::ConfigurationCommitted { configuration });
            self.out.events.extend(news);
        }
    }
}

#[cfg(test)]
mod tests;
