//! Errors as they cross the wire: RFC 9457 problem details.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// Whether what was asked for has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has: the command was run at an index of the log.
    Applied,
    /// It has not and will not: asking again is safe.
    NotApplied,
    /// Nobody knows: asking again is safe only with the same idempotency key.
    Unknown,
}

/// What went wrong: a closed set, one line of the table each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The fsm ran the command or query and said no; its bytes are in `reply`.
    Refused,
    /// The guest trapped; no effect.
    Trap,
    /// The guest ran out of fuel; no effect.
    Fuel,
    /// The guest wanted more memory than its limit; no effect.
    Memory,
    /// The guest recursed too deep; no effect.
    Stack,
    /// The guest's reply was malformed or too large; no effect.
    BadResult,
    /// The plugin's `init` refused or failed; the fsm was not created.
    InitFailed,
    /// The new plugin's `restore` refused or failed; the old one goes on.
    RestoreFailed,
    /// The plugin's `snapshot` refused or failed; everything is as before.
    CheckpointFailed,
    /// The file is no plugin this host can run; `details` says why.
    InvalidPlugin,
    /// This node does not lead and could not forward.
    NotLeader,
    /// There is no leader, or the fsm is not ready.
    Unavailable,
    /// Queues are full.
    Busy,
    /// Too much of the leader's log is uncommitted: its followers are behind.
    Uncommitted,
    /// The leader is handing its leadership over.
    Transferring,
    /// The state here is older than the request allows.
    TooStale,
    /// The fsm is suspended.
    Suspended,
    /// The disk is nearly full.
    DiskFull,
    /// It took longer than the request allowed.
    Timeout,
    /// The answer was lost on the way: shutdown, lost connection, changed leader.
    OutcomeUnknown,
    /// The same idempotency key came with another body.
    KeyReused,
    /// It exists already, or something else is in the way.
    Conflict,
    /// A majority of the voters that would be left cannot be reached.
    WouldLoseQuorum,
    /// Too many bytes.
    TooLarge,
    /// No such fsm, plugin or path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request is malformed.
    BadRequest,
    /// The bytes do not have the digest of the path.
    DigestMismatch,
    /// The client took too long to send its request.
    SlowRequest,
    /// Not allowed.
    Forbidden,
    /// A bug or a fault of this host.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 31] = [
        Self::Refused,
        Self::Trap,
        Self::Fuel,
        Self::Memory,
        Self::Stack,
        Self::BadResult,
        Self::InitFailed,
        Self::RestoreFailed,
        Self::CheckpointFailed,
        Self::InvalidPlugin,
        Self::NotLeader,
        Self::Unavailable,
        Self::Busy,
        Self::Uncommitted,
        Self::Transferring,
        Self::TooStale,
        Self::Suspended,
        Self::DiskFull,
        Self::Timeout,
        Self::OutcomeUnknown,
        Self::KeyReused,
        Self::Conflict,
        Self::WouldLoseQuorum,
        Self::TooLarge,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BadRequest,
        Self::DigestMismatch,
        Self::SlowRequest,
        Self::Forbidden,
        Self::Internal,
    ];

    /// The HTTP status it is sent with.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::DigestMismatch => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::SlowRequest => 408,
            Self::KeyReused | Self::Conflict => 409,
            Self::WouldLoseQuorum => 412,
            Self::TooLarge => 413,
            Self::Refused
            | Self::Trap
            | Self::Fuel
            | Self::Memory
            | Self::Stack
            | Self::BadResult
            | Self::InitFailed
            | Self::RestoreFailed
            | Self::CheckpointFailed
            | Self::InvalidPlugin => 422,
            Self::Internal => 500,
            Self::NotLeader
            | Self::Unavailable
            | Self::Busy
            | Self::Uncommitted
            | Self::Transferring
            | Self::TooStale
            | Self::Suspended => 503,
            Self::Timeout | Self::OutcomeUnknown => 504,
            Self::DiskFull => 507,
        }
    }

    /// The outcome unless the sender knows better.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Refused => Outcome::Applied,
            Self::Timeout | Self::OutcomeUnknown | Self::Internal => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }

    /// Whether the same request may succeed when sent again. If the outcome is unknown, that is
    /// safe only with an idempotency key.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::NotLeader
                | Self::Unavailable
                | Self::Busy
                | Self::Uncommitted
                | Self::Transferring
                | Self::TooStale
                | Self::Timeout
                | Self::OutcomeUnknown
                | Self::SlowRequest
        )
    }

    /// The same words for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Refused => "refused by the fsm",
            Self::Trap => "the fsm trapped",
            Self::Fuel => "the fsm ran out of fuel",
            Self::Memory => "the fsm ran out of memory",
            Self::Stack => "the fsm recursed too deep",
            Self::BadResult => "the fsm gave a bad reply",
            Self::InitFailed => "the plugin's init failed",
            Self::RestoreFailed => "the plugin's restore failed",
            Self::CheckpointFailed => "the plugin's snapshot failed",
            Self::InvalidPlugin => "not a plugin this host can run",
            Self::NotLeader => "not the leader",
            Self::Unavailable => "unavailable",
            Self::Busy => "too busy",
            Self::Uncommitted => "too much is uncommitted",
            Self::Transferring => "leadership is being handed over",
            Self::TooStale => "the state is too old",
            Self::Suspended => "the fsm is suspended",
            Self::DiskFull => "the disk is nearly full",
            Self::Timeout => "timed out",
            Self::OutcomeUnknown => "outcome unknown",
            Self::KeyReused => "idempotency key reused with another body",
            Self::Conflict => "conflict",
            Self::WouldLoseQuorum => "would lose quorum",
            Self::TooLarge => "too large",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::BadRequest => "bad request",
            Self::DigestMismatch => "digest mismatch",
            Self::SlowRequest => "request too slow",
            Self::Forbidden => "forbidden",
            Self::Internal => "internal error",
        }
    }
}

/// Problem details (RFC 9457) with this interface's extension members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URN naming the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Code::title`].
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, with the values.
    pub detail: String,
    /// The code to branch on.
    pub code: Code,
    /// Whether it happened.
    pub outcome: Outcome,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The node that leads, where that matters and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u64>,
    /// The log index of the outcome, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// One line each where there is more than one thing to say, e.g. offending imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The guest's own bytes, if they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// The guest's own bytes in standard base64, if they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_base64: Option<String>,
}

impl Problem {
    /// A problem with the defaults of its code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(|v| v.as_str()).unwrap_or("internal");
        Self {
            kind: format!("urn:coracle:problem:{name}"),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            outcome: code.outcome(),
            retryable: code.retryable(),
            hint: None,
            leader: None,
            index: None,
            details: Vec::new(),
            reply: None,
            reply_base64: None,
        }
    }

    /// Puts the guest's bytes where their encoding belongs.
    #[must_use]
    pub fn with_reply(mut self, reply: Vec<u8>) -> Self {
        match String::from_utf8(reply) {
            Ok(text) => self.reply = Some(text),
            Err(e) => self.reply_base64 = Some(BASE64.encode(e.as_bytes())),
        }
        self
    }

    /// The guest's bytes, if there are any and they are well encoded.
    pub fn reply_bytes(&self) -> Option<Vec<u8>> {
        match (&self.reply, &self.reply_base64) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (None, Some(encoded)) => BASE64.decode(encoded.as_bytes()).ok(),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_code_once() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| format!("{c:?}")).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        // `Internal` is declared last: its position is the number of codes before it.
        assert_eq!(Code::Internal as usize + 1, Code::ALL.len());
    }

    #[test]
    fn failures_in_the_guest_are_never_server_errors_and_never_retryable() {
        for code in [
            Code::Trap,
            Code::Fuel,
            Code::Memory,
            Code::Stack,
            Code::BadResult,
        ] {
            assert_eq!(code.status(), 422);
            assert_eq!(code.outcome(), Outcome::NotApplied);
            assert!(!code.retryable());
        }
    }

    #[test]
    fn a_reply_comes_back_as_it_went_in() {
        for bytes in [b"no such key".to_vec(), vec![0xff, 0x00, 0xfe], Vec::new()] {
            let problem = Problem::new(Code::Refused, "no").with_reply(bytes.clone());
            let wire = serde_json::to_string(&problem).expect("problem is json");
            let back: Problem = serde_json::from_str(&wire).expect("json is a problem");
            assert_eq!(back.reply_bytes(), Some(bytes));
        }
    }
}
