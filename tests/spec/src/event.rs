//! What a trace says, one event a line. A node writes an event before anything that follows from
//! it leaves the node, so that whatever another node knows of it is in its trace.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Index, LogId, ReplicaId, Term};

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The node it happened at.
    pub node: u64,
    /// Its place among the events of that node, over all its lives.
    pub seq: u64,
    /// The group it is about; 0 where it is about the node.
    #[serde(default)]
    pub group: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The process starts; a `start` follows for every group it found.
    Boot {
        /// Its replicas ask for pre-votes before they campaign.
        #[serde(default)]
        pre_vote: bool,
    },
    /// What it found of a group.
    Start {
        /// Index of the entry that added this replica.
        born: Index,
        /// The durable term.
        term: Term,
        /// The vote in it.
        vote: Option<ReplicaId>,
        /// The entry that the log begins after.
        floor: LogId,
        /// The last entry.
        last: LogId,
    },
    /// A write: a replica begins to exist.
    Host {
        /// Its name, in `durable` again.
        id: String,
        /// Index of the entry that added it; 0: it is in the initial configuration.
        born: Index,
        /// The initial configuration; none if it was added.
        configuration: Configuration,
    },
    /// A write: term, vote and entries.
    Write {
        /// Its name, in `durable` again.
        id: String,
        /// The new term and vote, if they changed.
        #[serde(default)]
        hard_state: Option<HardState>,
        /// Consecutive entries, the first of which replaces whatever stood there.
        entries: Vec<Entry>,
    },
    /// A write: a snapshot takes the place of the log.
    Install {
        /// Its name, in `durable` again.
        id: String,
        /// The new term and vote, if they changed.
        #[serde(default)]
        hard_state: Option<HardState>,
        /// The last entry that it covers.
        last: LogId,
    },
    /// A write: everything up to here is covered by a snapshot and forgotten.
    Compact {
        /// Its name, in `durable` again.
        id: String,
        /// The last entry that is forgotten.
        last: LogId,
    },
    /// A write: the replica is gone.
    Remove {
        /// Its name, in `durable` again.
        id: String,
    },
    /// The replica was told that this write and all before it are durable.
    Durable {
        /// The write.
        id: String,
    },
    /// The replica is the leader.
    Leads {
        /// Of this term.
        term: Term,
    },
    /// A granted vote leaves.
    Grants {
        /// The term.
        term: Term,
        /// The candidate.
        to: ReplicaId,
    },
    /// An acknowledgement leaves.
    Acknowledges {
        /// The leader's term.
        term: Term,
        /// Everything up to here is durable and the leader's.
        index: Index,
    },
    /// The replica takes everything up to here for committed, and it is durable here.
    Commit {
        /// The index.
        index: Index,
    },
    /// The replica that led does not lead any more.
    StepsDown,
    /// A question leaves: would you vote for me?
    AsksPreVote {
        /// The term that would be campaigned in.
        term: Term,
        /// The last entry that the candidate has.
        last: LogId,
    },
    /// Such a question arrives.
    HearsPreVote {
        /// The term that would be campaigned in.
        term: Term,
        /// The candidate.
        by: ReplicaId,
    },
    /// The answer leaves that it would.
    GrantsPreVote {
        /// The term that would be campaigned in.
        term: Term,
        /// The candidate.
        to: ReplicaId,
    },
    /// The leader tells somebody to campaign at once.
    HandsOver {
        /// The leader's term.
        term: Term,
        /// Whom.
        to: ReplicaId,
    },
    /// A client asks for a linearizable read point.
    Reads {
        /// The node's name for it, in `read_point` again.
        ticket: u64,
        /// A lease will do.
        #[serde(default)]
        lease: bool,
    },
    /// The client gets it.
    ReadPoint {
        /// The node's name for it.
        ticket: u64,
        /// What the answer has applied at least.
        index: Index,
    },
    /// The first heartbeat of a round leaves.
    Round {
        /// The leader's term.
        term: Term,
        /// The leader's count.
        round: u64,
    },
    /// The answer to a heartbeat of a round leaves.
    Echoes {
        /// The leader's term.
        term: Term,
        /// The leader.
        to: ReplicaId,
        /// The leader's count.
        round: u64,
        /// With it the promise to elect nobody else for a while.
        #[serde(default)]
        promised: bool,
    },
    /// A question leaves for whoever is taken for the leader: what is a read point?
    Asks {
        /// Who is asked.
        to: ReplicaId,
        /// The asker's count.
        round: u64,
    },
    /// Such a question arrives.
    HearsQuestion {
        /// Who asks.
        by: ReplicaId,
        /// The asker's count.
        round: u64,
        /// A lease will do.
        #[serde(default)]
        lease: bool,
    },
    /// The answer leaves.
    Tells {
        /// The leader's term.
        term: Term,
        /// Who asked.
        to: ReplicaId,
        /// The asker's count.
        round: u64,
        /// The read point.
        index: Index,
    },
}

impl What {
    /// Whether only a replica that exists does this. What is said may leave a node together with
    /// the end of whoever says it, and what is asked may come for somebody who is not there.
    pub(crate) fn is_of_a_member(&self) -> bool {
        matches!(
            self,
            Self::Write { .. }
                | Self::Install { .. }
                | Self::Compact { .. }
                | Self::Remove { .. }
                | Self::Durable { .. }
                | Self::Leads { .. }
                | Self::Grants { .. }
                | Self::Acknowledges { .. }
                | Self::Commit { .. }
        )
    }
}

/// Term and vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct HardState {
    /// The term.
    pub term: Term,
    /// Who has the vote in it.
    pub vote: Option<ReplicaId>,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The term in which it was appended.
    pub term: Term,
    /// Its index.
    pub index: Index,
    /// Names the payload; none if there is none, or if a witness keeps the entry without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<u64>,
    /// The configuration it sets, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
}

/// Who votes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// The voters; in a joint configuration, the incoming ones.
    pub voters: BTreeSet<ReplicaId>,
    /// In a joint configuration, the outgoing ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub outgoing: BTreeSet<ReplicaId>,
}

impl Entry {
    /// Its identity.
    pub fn id(&self) -> LogId {
        LogId {
            term: self.term,
            index: self.index,
        }
    }

    /// Whether both are the same entry; a witness keeps it without its payload.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let payloads = match (self.digest, other.digest) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.id() == other.id() && payloads && self.configuration == other.configuration
    }
}
