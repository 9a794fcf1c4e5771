//! Bugs put in on purpose, around the core rather than in it: what finds nothing proves nothing.

/// A way to break a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Whom it voted for is forgotten before the next request for a vote.
    VoteForgotten,
    /// A write is said to be durable before it is.
    WriteAcknowledgedEarly,
    /// Every heartbeat of a leader is taken as echoed before it was sent.
    EchoInvented,
    /// A candidate is believed to have every entry there is.
    CandidateBelieved,
    /// An acknowledgement is taken as if it came from another replica as well.
    AcknowledgementCountedTwice,
    /// A snapshot claims to cover one entry more than it does.
    SnapshotClaimsMore,
    /// A leader's promises are taken to last for ever.
    LeaseNeverEnds,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::VoteForgotten,
        Self::WriteAcknowledgedEarly,
        Self::EchoInvented,
        Self::CandidateBelieved,
        Self::AcknowledgementCountedTwice,
        Self::SnapshotClaimsMore,
        Self::LeaseNeverEnds,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::VoteForgotten => "vote-forgotten",
            Self::WriteAcknowledgedEarly => "write-acknowledged-early",
            Self::EchoInvented => "echo-invented",
            Self::CandidateBelieved => "candidate-believed",
            Self::AcknowledgementCountedTwice => "acknowledgement-counted-twice",
            Self::SnapshotClaimsMore => "snapshot-claims-more",
            Self::LeaseNeverEnds => "lease-never-ends",
        }
    }
}
