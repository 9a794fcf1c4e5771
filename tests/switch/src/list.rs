//! The bugs, each with the place it belongs to.

/// A part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Votes, leaders, transfers of leadership.
    Election,
    /// The log from leader to follower, and what is committed.
    Replication,
    /// Linearizable reads.
    Reads,
    /// Changes of members.
    Membership,
    /// Snapshots and their files.
    Snapshot,
    /// State machines, sessions, tickets.
    Apply,
    /// The durable log.
    Log,
    /// What goes over the wire.
    Transport,
}

macro_rules! mutants {
    ($($area:ident { $($name:ident $text:literal $what:literal)* })*) => {
        /// A deliberate bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[doc = $what] $name,)*)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)*)*
                }
            }

            /// Where it is.
            pub fn area(self) -> Area {
                match self {
                    $($(Self::$name => Area::$area,)*)*
                }
            }

            /// What is wrong, in one sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $($(Self::$name => $what,)*)*
                }
            }

            /// The mutant of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
            }
        }
    };
}

mutants! {
    Election {
        VoteTwice "vote-twice"
            "A replica votes again in a term for whoever asks."
        VoteNotWritten "vote-not-written"
            "A vote is not written to the log, only the term is."
        VoteBeforeSync "vote-before-sync"
            "A vote is answered before the disk is done with it."
        VoteForLowerLog "vote-for-lower-log"
            "A vote goes to a candidate whose log is behind."
        PreVoteForLowerLog "pre-vote-for-lower-log"
            "A pre-vote goes to a candidate whose log is behind."
        PreVoteOfOldTerm "pre-vote-of-old-term"
            "A pre-vote is granted for a term that is over."
        PromiseBroken "promise-broken"
            "Candidates are helped although a leader counts on a promise."
        CheckQuorumNever "check-quorum-never"
            "A leader that hears no quorum leads on."
        TimeoutNowOfOldTerm "timeout-now-of-old-term"
            "A word to campaign is obeyed although its term is over."
        LeadsOnInNextTerm "leads-on-in-next-term"
            "A leader that sees a higher term leads on in it (hashicorp#695)."
        LowerTermUnanswered "lower-term-unanswered"
            "Who speaks in a lower term is not told the higher one (etcd#8243)."
        RefusalTermIgnored "refusal-term-ignored"
            "The higher term of a refused pre-vote is not taken over (openraft#1796)."
        LearnerGivesNoVote "learner-gives-no-vote"
            "Who takes itself for a learner gives no vote (etcd#10998)."
        TransferAsksFirst "transfer-asks-first"
            "Who is told to campaign asks for pre-votes first (dragonboat#223)."
    }
    Replication {
        CommitOldTermByCount "commit-old-term-by-count"
            "Entries of older terms are committed by counting replicas (figure 3.7)."
        CommitUnsyncedLeader "commit-unsynced-leader"
            "A leader counts what its own disk has not finished."
        CommitBeyondMatch "commit-beyond-match"
            "A follower takes a commit index beyond what it knows to match."
        ApplyUnsynced "apply-unsynced"
            "What is committed is applied before the own disk has it."
        AckBeforeSync "ack-before-sync"
            "Entries are acknowledged before the disk is done with them."
        AckWholeLog "ack-whole-log"
            "A follower acknowledges its whole log, not what was checked of it."
        PrevNotChecked "prev-not-checked"
            "Entries are appended whatever stands before them."
        TruncateAlways "truncate-always"
            "An append truncates what it repeats, committed or not."
        StaleAppendReply "stale-append-reply"
            "An answer to an append of an older term is believed."
        NextAtMatch "next-at-match"
            "The next entry to send is the one that matches, down to number zero."
        ProbeAsMatch "probe-as-match"
            "Where a leader looks for the match is taken for the match (CCF#5325)."
        WitnessFirst "witness-first"
            "A witness is sent entries that no full voter has on its disk."
        FullWindowUnasked "full-window-unasked"
            "A peer whose window is full is not asked where it stands (etcd#14633)."
    }
    Reads {
        ReadWithoutRound "read-without-round"
            "A leader answers a read without asking whether it still leads."
        ReadStaleEcho "read-stale-echo"
            "An echo of an older round confirms the newest (etcd#20418)."
        ReadBeforeOwnCommit "read-before-own-commit"
            "A leader reads before it has committed anything in its term (etcd#7331)."
        LeaseOfPausedClock "lease-of-paused-clock"
            "A lease is compared with the time of its last round, not with now."
        LeaseKeptOnTransfer "lease-kept-on-transfer"
            "A leader reads by its lease after it told somebody to campaign (etcd-io/raft#99)."
        ReadRefusalDropped "read-refusal-dropped"
            "A read that is refused gets no answer (openraft#1816)."
    }
    Membership {
        TwoChangesInFlight "two-changes-in-flight"
            "A change of members begins before the last one is committed."
        ChangeBeforeOwnCommit "change-before-own-commit"
            "A new leader changes members before it has committed an entry (Ongaro 2015)."
        JointIncomingOnly "joint-incoming-only"
            "In a joint configuration only the new majority counts."
        LearnerCounted "learner-counted"
            "Learners count towards commitment."
        BornReused "born-reused"
            "A node that comes back is taken for the replica it once was."
        BornNotChecked "born-not-checked"
            "What is addressed to an earlier replica of a node is taken for one's own."
        ConfigurationNotRolledBack "configuration-not-rolled-back"
            "A configuration outlives the truncation of its entry."
        RemovedLeaderStays "removed-leader-stays"
            "A leader whose removal is committed leads on (etcd#11038)."
        JointOfAnotherKept "joint-of-another-kept"
            "A joint configuration is left only by the leader that entered it (etcd#14538)."
    }
    Snapshot {
        SnapshotKeepsConfiguration "snapshot-keeps-configuration"
            "The members stay as they were when a snapshot is installed (openraft#1808)."
        SnapshotKeepsTail "snapshot-keeps-tail"
            "Entries above an installed snapshot stay in the log (databend#7833)."
        SnapshotWithoutSessions "snapshot-without-sessions"
            "The session table is lost when a snapshot is installed."
        SnapshotWithoutChain "snapshot-without-chain"
            "The outcome chain begins anew when a snapshot is installed."
        SnapshotNotVerified "snapshot-not-verified"
            "A received snapshot file is taken without looking at its bytes."
        SnapshotMovesConfiguration "snapshot-moves-configuration"
            "The index of a snapshot becomes that of its configuration (matrixone#24966)."
        SnapshotForMembersOnly "snapshot-for-members-only"
            "A snapshot is refused by whoever its configuration lacks (etcd#13741)."
        SnapshotOfferedOnce "snapshot-offered-once"
            "After the transfer of a snapshot its receiver is not asked again (openraft#1829)."
    }
    Apply {
        AppliedTwiceAfterRestart "applied-twice-after-restart"
            "A rebuilt state machine has gone one entry too far already."
        CheckpointAtCommit "checkpoint-at-commit"
            "A checkpoint or upgrade counts from the commit index instead of its entry."
        DedupTooEarly "dedup-too-early"
            "Keys are forgotten after two commands."
        SessionsExpireLocally "sessions-expire-locally"
            "Keys are forgotten when this node happens to be idle."
        ChainSkipsOutcomes "chain-skips-outcomes"
            "The outcome chain leaves the outcomes out."
        TicketByIndexAlone "ticket-by-index-alone"
            "Whoever waits at an index is answered by any entry there."
        SkipsForgotten "skips-forgotten"
            "A rebuild repeats commands that had failed."
        TrapKeepsInstance "trap-keeps-instance"
            "An instance goes on after a trap."
        ReadBeforeApplied "read-before-applied"
            "A read is answered before its index is applied."
    }
    Log {
        RecordChecksumSkipped "record-checksum-skipped"
            "Checksums of the log are not compared."
        AnchorNotChecked "anchor-not-checked"
            "A log behind its anchor is believed."
        HardStateLostOnCompaction "hard-state-lost-on-compaction"
            "Compaction forgets term and vote."
        HeirForgetsVote "heir-forgets-vote"
            "A replica that takes another's place forgets its term and vote."
        AppliedHintAhead "applied-hint-ahead"
            "The applied mark is that of the last entry in the log."
        OldTailKept "old-tail-kept"
            "Overwriting entries leaves those behind them."
        FloorIsSnapshot "floor-is-snapshot"
            "After a restart the log seems to begin above its snapshot."
        RowsDeletedTooEarly "rows-deleted-too-early"
            "Rows are deleted in which something is live."
        SyncSkipped "sync-skipped"
            "A commit does not wait for the disk."
    }
    Transport {
        SenderNotChecked "sender-not-checked"
            "A frame may come in anybody's name."
        TrailingBytesIgnored "trailing-bytes-ignored"
            "Bytes behind the last message of a frame are passed over."
        UnpackLimitIgnored "unpack-limit-ignored"
            "Room is made for whatever a compressed frame claims."
        PreviousNotFollowed "previous-not-followed"
            "What a frame leaves out is taken from its first message."
        BulkOffsetIgnored "bulk-offset-ignored"
            "A resumed transfer begins at its beginning again."
    }
}
