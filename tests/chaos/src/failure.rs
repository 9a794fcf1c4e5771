//! How a run ends when it does not end well.

/// Why.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// This machine lacks something; nothing was tried.
    #[error("skipped: {0}")]
    Skipped(String),
    /// The test itself could not do what it wanted.
    #[error("cannot {what}: {why}")]
    Harness {
        /// What it wanted.
        what: String,
        /// What was in the way.
        why: String,
    },
    /// The cluster did not do in time what it must.
    #[error("waited {seconds} s for {what}: {last}")]
    TooLong {
        /// What should have happened.
        what: String,
        /// How long it had.
        seconds: u64,
        /// Why not yet, when last looked at.
        last: String,
    },
    /// The cluster did what it must never do.
    #[error("{0}")]
    Violation(String),
    /// What a run wrote is not all there: nothing can be said of it.
    #[error("the folder of the run is not whole: {0}")]
    Incomplete(String),
    /// Somebody pressed ctrl-c.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// A failure of the harness.
    pub fn harness(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Harness {
            what: what.into(),
            why: why.to_string(),
        }
    }
}
