//! Where Coracle differs from etcd-raft on purpose: file, command and which of its occurrences,
//! the reason, and what has to be found instead.

/// One block that differs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) file: &'static str,
    pub(crate) command: &'static str,
    /// The how-manieth block with this command, from 1.
    pub(crate) nth: usize,
    pub(crate) reason: &'static str,
    /// What is checked instead, line by line.
    pub(crate) instead: &'static str,
}

/// Those of one file.
pub(crate) fn of(file: &str) -> Vec<Difference> {
    let of_file = DIFFERENCES.iter().filter(|d| d.file == file);
    of_file.copied().collect()
}

const WAITS_FOR_TERM: &str = "Nothing is said before the term it is said in is durable, not even \
    the answer to a heartbeat: node 1 answers one write later, so that the entry of term 3 has not \
    been sent to it again when the script ends.";

const BOTH_HAVE_TO_ACK: &str = "The removal is in force from its append: nodes 2 and 3 have to \
    hold it, node 1 does not count itself, and node 3 has not answered yet.";

const HANDS_OVER: &str = "A removed leader steps down once its removal is committed and tells the \
    voter that has most of the log to campaign at once. There it goes on leading, or falls silent \
    where that is asked for, and somebody has to time out.";

const NEW_VOTERS_HAVE_TO_ACK: &str = "The joint configuration is in force from its append: two of \
    the three new voters have to hold it before it is committed, and they have not been spoken to \
    yet.";

const LEFT_AT_ONCE: &str = "The joint configuration is left as soon as it is committed, by an \
    entry that is in force from its append and needs node 1 alone.";

const PROMISE_OUTLIVES: &str = "A lease rests on promises that a follower keeps whether it knows a \
    leader or not, so that forgetting one is safe and never refused. How a read is confirmed is \
    asked with the read, no setting of the group.";

const V1_REMOVE: &str = "confchange_v1_remove_leader.txt";
const V1_REMOVE_STEPDOWN: &str = "confchange_v1_remove_leader_stepdown.txt";
const V2_REPLACE_STEPDOWN: &str = "confchange_v2_replace_leader_stepdown.txt";
const V2_ADD_DOUBLE: &str = "confchange_v2_add_double_auto.txt";

/// Every block that differs.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "async_storage_writes_append_aba_race.txt",
        command: "raft-log 1",
        nth: 5,
        reason: WAITS_FOR_TERM,
        instead: "1/11 EntryNormal \"\"
                  2/12 EntryNormal \"\"",
    },
    Difference {
        file: V1_REMOVE,
        command: "stabilize 1",
        nth: 1,
        reason: BOTH_HAVE_TO_ACK,
        instead: "1 has voters=(1 2 3)",
    },
    Difference {
        file: V1_REMOVE,
        command: "raft-state",
        nth: 3,
        reason: BOTH_HAVE_TO_ACK,
        instead: "1: StateLeader (Voter) Term:1 Lead:1
                  2: StateFollower (Voter) Term:1 Lead:1
                  3: StateFollower (Voter) Term:1 Lead:1",
    },
    Difference {
        file: V1_REMOVE,
        command: "stabilize 2",
        nth: 2,
        reason: BOTH_HAVE_TO_ACK,
        instead: "2 has voters=(1 2 3)",
    },
    Difference {
        file: V1_REMOVE,
        command: "raft-state",
        nth: 4,
        reason: HANDS_OVER,
        instead: "1: StateFollower (Non-Voter) Term:1 Lead:0
                  2: StateLeader (Voter) Term:2 Lead:2
                  3: StateFollower (Voter) Term:2 Lead:2",
    },
    Difference {
        file: V1_REMOVE_STEPDOWN,
        command: "stabilize 1",
        nth: 1,
        reason: BOTH_HAVE_TO_ACK,
        instead: "1 is Leader at term 1
                  1 has voters=(1 2 3)",
    },
    Difference {
        file: V1_REMOVE_STEPDOWN,
        command: "raft-state",
        nth: 3,
        reason: BOTH_HAVE_TO_ACK,
        instead: "1: StateLeader (Voter) Term:1 Lead:1
                  2: StateFollower (Voter) Term:1 Lead:1
                  3: StateFollower (Voter) Term:1 Lead:1",
    },
    Difference {
        file: V1_REMOVE_STEPDOWN,
        command: "stabilize 2",
        nth: 2,
        reason: BOTH_HAVE_TO_ACK,
        instead: "2 has voters=(1 2 3)",
    },
    Difference {
        file: V2_ADD_DOUBLE,
        command: "process-ready 1",
        nth: 3,
        reason: NEW_VOTERS_HAVE_TO_ACK,
        instead: "1 has voters=(1)",
    },
    Difference {
        file: V2_ADD_DOUBLE,
        command: "stabilize 1",
        nth: 3,
        reason: LEFT_AT_ONCE,
        instead: "1 has voters=(1)",
    },
    Difference {
        file: V2_ADD_DOUBLE,
        command: "stabilize 2 3",
        nth: 2,
        reason: LEFT_AT_ONCE,
        instead: "2 has voters=(1)
                  3 has voters=(1)",
    },
    Difference {
        file: V2_REPLACE_STEPDOWN,
        command: "raft-state",
        nth: 3,
        reason: HANDS_OVER,
        instead: "1: StateFollower (Non-Voter) Term:1 Lead:0
                  2: StateLeader (Voter) Term:2 Lead:2
                  3: StateFollower (Voter) Term:2 Lead:2
                  4: StateFollower (Voter) Term:2 Lead:2",
    },
    Difference {
        file: V2_REPLACE_STEPDOWN,
        command: "campaign 2",
        nth: 1,
        reason: HANDS_OVER,
        instead: "2 is Leader at term 2",
    },
    Difference {
        file: "forget_leader_read_only_lease_based.txt",
        command: "raft-state",
        nth: 1,
        reason: PROMISE_OUTLIVES,
        instead: "1: StateLeader (Voter) Term:1 Lead:1
                  2: StateFollower (Voter) Term:1 Lead:0
                  3: StateFollower (Voter) Term:1 Lead:1",
    },
];
