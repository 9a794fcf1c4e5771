//! Directed scenarios: for each mutant a story of a few steps that leads straight to it.

mod apply;
mod election;
mod log;
mod membership;
mod reads;
mod replication;
mod snapshot;
mod transport;
mod worker;

use coracle_switch::Mutant;

/// What came of a story: the rule that was broken, if one was.
pub type Outcome = Result<(), String>;

/// Plays the story of a mutant, whichever is on.
pub fn play(mutant: Mutant) -> Outcome {
    match mutant {
        Mutant::VoteTwice => election::vote_twice(),
        Mutant::VoteNotWritten => election::vote_not_written(),
        Mutant::VoteBeforeSync => election::vote_before_sync(),
        Mutant::VoteForLowerLog => election::lower_log(false),
        Mutant::PreVoteForLowerLog => election::lower_log(true),
        Mutant::PreVoteOfOldTerm => election::pre_vote_of_old_term(),
        Mutant::PromiseBroken => election::promise_broken(),
        Mutant::CheckQuorumNever => election::check_quorum_never(),
        Mutant::TimeoutNowOfOldTerm => election::timeout_now_of_old_term(),
        Mutant::LeadsOnInNextTerm => election::leads_on_in_next_term(),
        Mutant::LowerTermUnanswered => election::lower_term_unanswered(),
        Mutant::RefusalTermIgnored => election::refusal_term_ignored(),
        Mutant::LearnerGivesNoVote => election::learner_gives_no_vote(),
        Mutant::TransferAsksFirst => election::transfer_asks_first(),
        Mutant::CommitOldTermByCount => replication::commit_old_term_by_count(),
        Mutant::CommitUnsyncedLeader => replication::commit_unsynced_leader(),
        Mutant::CommitBeyondMatch => replication::commit_beyond_match(),
        Mutant::ApplyUnsynced => replication::apply_unsynced(),
        Mutant::AckBeforeSync => replication::ack_before_sync(),
        Mutant::AckWholeLog => replication::ack_whole_log(),
        Mutant::PrevNotChecked => replication::prev_not_checked(),
        Mutant::TruncateAlways => replication::truncate_always(),
        Mutant::StaleAppendReply => replication::stale_append_reply(),
        Mutant::NextAtMatch => replication::next_at_match(),
        Mutant::ProbeAsMatch => replication::probe_as_match(),
        Mutant::WitnessFirst => replication::witness_first(),
        Mutant::FullWindowUnasked => replication::full_window_unasked(),
        Mutant::ReadWithoutRound => reads::read_without_round(),
        Mutant::ReadStaleEcho => reads::read_stale_echo(),
        Mutant::ReadBeforeOwnCommit => reads::read_before_own_commit(),
        Mutant::LeaseOfPausedClock => reads::lease_of_paused_clock(),
        Mutant::LeaseKeptOnTransfer => reads::lease_kept_on_transfer(),
        Mutant::ReadRefusalDropped => reads::read_refusal_dropped(),
        Mutant::TwoChangesInFlight => membership::two_changes_in_flight(),
        Mutant::ChangeBeforeOwnCommit => membership::change_before_own_commit(),
        Mutant::JointIncomingOnly => membership::joint_incoming_only(),
        Mutant::LearnerCounted => membership::learner_counted(),
        Mutant::BornReused => membership::born_reused(),
        Mutant::BornNotChecked => membership::born_not_checked(),
        Mutant::ConfigurationNotRolledBack => membership::configuration_not_rolled_back(),
        Mutant::RemovedLeaderStays => membership::removed_leader_stays(),
        Mutant::JointOfAnotherKept => membership::joint_of_another_kept(),
        // The same story: what it asks is where the configuration stands.
        Mutant::SnapshotMovesConfiguration => snapshot::snapshot_keeps_configuration(),
        Mutant::SnapshotForMembersOnly => snapshot::snapshot_for_members_only(),
        Mutant::SnapshotOfferedOnce => snapshot::snapshot_offered_once(),
        Mutant::SnapshotKeepsConfiguration => snapshot::snapshot_keeps_configuration(),
        Mutant::SnapshotKeepsTail => snapshot::snapshot_keeps_tail(),
        Mutant::SnapshotNotVerified => snapshot::snapshot_not_verified(),
        Mutant::SnapshotWithoutSessions => apply::snapshot_without_sessions(),
        Mutant::SnapshotWithoutChain => apply::snapshot_without_chain(),
        Mutant::AppliedTwiceAfterRestart => apply::applied_twice_after_restart(),
        Mutant::CheckpointAtCommit => apply::checkpoint_at_commit(),
        Mutant::DedupTooEarly => apply::dedup_too_early(),
        Mutant::SessionsExpireLocally => apply::sessions_expire_locally(),
        Mutant::ChainSkipsOutcomes => apply::chain_skips_outcomes(),
        Mutant::TicketByIndexAlone => apply::ticket_by_index_alone(),
        Mutant::SkipsForgotten => apply::skips_forgotten(),
        Mutant::TrapKeepsInstance => apply::trap_keeps_instance(),
        Mutant::ReadBeforeApplied => apply::read_before_applied(),
        Mutant::RecordChecksumSkipped => log::record_checksum_skipped(),
        Mutant::AnchorNotChecked => log::anchor_not_checked(),
        Mutant::HardStateLostOnCompaction => log::hard_state_lost_on_compaction(),
        Mutant::HeirForgetsVote => log::heir_forgets_vote(),
        Mutant::AppliedHintAhead => log::applied_hint_ahead(),
        Mutant::OldTailKept => log::old_tail_kept(),
        Mutant::FloorIsSnapshot => log::floor_is_snapshot(),
        Mutant::RowsDeletedTooEarly => log::rows_deleted_too_early(),
        Mutant::SyncSkipped => log::sync_skipped(),
        Mutant::SenderNotChecked => transport::sender_not_checked(),
        Mutant::TrailingBytesIgnored => transport::trailing_bytes_ignored(),
        Mutant::UnpackLimitIgnored => transport::unpack_limit_ignored(),
        Mutant::PreviousNotFollowed => transport::previous_not_followed(),
        Mutant::BulkOffsetIgnored => transport::bulk_offset_ignored(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_code_passes_every_scenario() {
        let broken = |mutant: &Mutant| {
            let rule = play(*mutant).err()?;
            Some(format!("{}: {rule}", mutant.name()))
        };
        let broken: Vec<_> = Mutant::ALL.iter().filter_map(broken).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}
