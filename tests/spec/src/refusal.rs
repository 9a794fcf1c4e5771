//! Why no action of the specification explains an event.

use std::fmt;

/// Why an event is not explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing that other replicas have yet to say can explain it.
    Contradiction(String),
    /// It would follow from something that no replica has said so far.
    Missing(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(why) => write!(f, "{why}"),
            Self::Missing(what) => write!(f, "nobody did what it follows from: {what}"),
        }
    }
}

/// Whether the event is explained.
pub type Verdict = Result<(), Refusal>;

pub(crate) fn contradiction<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Contradiction(why.into()))
}

pub(crate) fn missing<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Missing(what.into()))
}
