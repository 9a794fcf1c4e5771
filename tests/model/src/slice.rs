//! The slices: small parts of what can happen, each searched to its end.

use coracle_proto::{Change, NodeId, ReadMode};

use crate::goals::Goal;

/// How often what is driven from outside happens in one history, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Election timers that run out.
    pub elections: u8,
    /// Quorum checks of leaders.
    pub quorum_checks: u8,
    /// Heartbeats.
    pub heartbeats: u8,
    /// Commands of clients.
    pub proposals: u8,
    /// Reads of clients.
    pub reads: u8,
    /// Membership changes.
    pub changes: u8,
    /// Transfers of leadership.
    pub transfers: u8,
    /// Compactions.
    pub compactions: u8,
    /// Crashes.
    pub crashes: u8,
    /// Messages that arrive twice.
    pub duplicates: u8,
    /// Halves of the election timeout that pass.
    pub time: u8,
    /// Messages that are lost to make room for others.
    pub losses: u8,
    /// Replicas that are cut off from all others, for good.
    pub cuts: u8,
}

/// A small part of what can happen.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Voters at the beginning.
    pub voters: u64,
    /// Who may time out: with equal voters, some are enough.
    pub campaigners: &'static [u64],
    /// Node 1 leads at the beginning, and everybody has its first entry.
    pub established: bool,
    /// Who may crash.
    pub crashers: &'static [u64],
    /// Who may be cut off.
    pub cut: &'static [u64],
    /// Appends arrive; without them a slice of elections goes further.
    pub appends: bool,
    /// Who got nothing of what happened before the beginning.
    pub absent: &'static [u64],
    /// See [`Config::pre_vote`](coracle_proto::Config::pre_vote).
    pub pre_vote: bool,
    /// See [`Config::check_quorum`](coracle_proto::Config::check_quorum).
    pub check_quorum: bool,
    /// Writes take time: anything may happen before one is durable.
    pub slow_disk: bool,
    /// Election timers run out only when they are due; otherwise at any moment, which is more
    /// than can happen, and too much where a lease counts on it.
    pub on_time: bool,
    /// Terms beyond this are not looked at.
    pub terms: u64,
    /// Messages on their way, beyond which a state is not looked at.
    pub flights: usize,
    /// How reads are made.
    pub read_mode: ReadMode,
    /// Followers are read too, and ask their leader.
    pub remote_reads: bool,
    /// Who is read, and where commands go.
    pub served: &'static [u64],
    /// What an administrator asks for.
    pub change: &'static [Change],
    /// To whom leadership is handed.
    pub successor: u64,
    /// How often things happen.
    pub budget: Budget,
    /// What has to be reached: a slice that reaches nothing shows nothing.
    pub goals: &'static [Goal],
}

const NOTHING: Budget = Budget {
    elections: 0,
    quorum_checks: 0,
    heartbeats: 0,
    proposals: 0,
    reads: 0,
    changes: 0,
    transfers: 0,
    compactions: 0,
    crashes: 0,
    duplicates: 0,
    time: 0,
    losses: 0,
    cuts: 0,
};

const PLAIN: Slice = Slice {
    name: "",
    about: "",
    voters: 3,
    campaigners: &[1, 2],
    established: true,
    crashers: &[3],
    cut: &[1],
    appends: true,
    absent: &[],
    pre_vote: false,
    check_quorum: false,
    slow_disk: true,
    on_time: false,
    terms: 3,
    flights: 3,
    remote_reads: false,
    read_mode: ReadMode::Index,
    served: &[1],
    change: &[],
    successor: 2,
    budget: NOTHING,
    goals: &[],
};

const SLICES: &[Slice] = &[
    Slice {
        name: "election",
        about: "two candidates, plain elections, a crash, slow disks",
        established: false,
        appends: false,
        flights: 4,
        budget: Budget {
            elections: 3,
            crashes: 1,
            ..NOTHING
        },
        goals: &[Goal::Leader, Goal::TwoLeaders],
        ..PLAIN
    },
    Slice {
        name: "pre-vote",
        about: "a leader with check-quorum, and candidates that ask before they campaign",
        pre_vote: true,
        check_quorum: true,
        slow_disk: false,
        campaigners: &[2, 3],
        budget: Budget {
            elections: 2,
            quorum_checks: 1,
            heartbeats: 1,
            time: 2,
            ..NOTHING
        },
        goals: &[Goal::TwoLeaders, Goal::SteppedDown],
        ..PLAIN
    },
    Slice {
        name: "joint",
        about: "one voter replaced through a joint configuration, a crash and an election meanwhile",
        flights: 4,
        crashers: &[1, 2],
        slow_disk: false,
        change: &[Change::Voter(NodeId(4)), Change::Remove(NodeId(3))],
        budget: Budget {
            changes: 1,
            elections: 1,
            crashes: 1,
            ..NOTHING
        },
        goals: &[Goal::Joint, Goal::JointLeft, Goal::TwoLeaders],
        ..PLAIN
    },
    Slice {
        name: "snapshot",
        about: "a follower that lacks the beginning gets a snapshot, crashes, and there is an election",
        absent: &[3],
        campaigners: &[2],
        budget: Budget {
            compactions: 1,
            heartbeats: 1,
            elections: 1,
            crashes: 1,
            ..NOTHING
        },
        goals: &[Goal::SnapshotInstalled, Goal::TwoLeaders],
        ..PLAIN
    },
    Slice {
        name: "read-index",
        about: "a read at a leader that may be deposed, and commands meanwhile",
        slow_disk: false,
        served: &[1, 2],
        remote_reads: true,
        campaigners: &[2],
        budget: Budget {
            reads: 1,
            proposals: 1,
            elections: 1,
            heartbeats: 1,
            cuts: 1,
            ..NOTHING
        },
        goals: &[Goal::ReadGranted, Goal::TwoLeaders],
        ..PLAIN
    },
    Slice {
        name: "transfer",
        about: "leadership is handed over while somebody else campaigns",
        campaigners: &[3],
        slow_disk: false,
        pre_vote: true,
        check_quorum: true,
        budget: Budget {
            transfers: 1,
            proposals: 1,
            elections: 1,
            time: 2,
            ..NOTHING
        },
        goals: &[Goal::TransferDone, Goal::TwoLeaders],
        ..PLAIN
    },
    Slice {
        name: "lease",
        about: "reads by lease while time passes and somebody else campaigns when due",
        campaigners: &[2],
        slow_disk: false,
        check_quorum: true,
        on_time: true,
        read_mode: ReadMode::Lease,
        served: &[1, 2],
        budget: Budget {
            reads: 2,
            proposals: 1,
            elections: 1,
            time: 3,
            ..NOTHING
        },
        goals: &[Goal::ReadGranted, Goal::ReadByLease, Goal::TwoLeaders],
        ..PLAIN
    },
];

/// All slices, smallest first.
pub fn slices() -> &'static [Slice] {
    SLICES
}

/// The slice of that name.
pub fn slice(name: &str) -> Option<&'static Slice> {
    SLICES.iter().find(|slice| slice.name == name)
}
