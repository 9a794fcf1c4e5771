//! Making [`LogError`]s.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use coracle_driver::LogError;

pub(crate) fn io_error(context: impl Into<String>) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Io {
        context: context.into(),
        source,
    }
}

/// Damage that belongs to no group.
pub(crate) fn damaged(reason: impl Into<String>) -> LogError {
    LogError::Damaged {
        group: 0,
        index: 0,
        reason: reason.into(),
    }
}

pub(crate) fn lost(reason: impl Into<String>) -> LogError {
    LogError::Lost {
        reason: reason.into(),
    }
}

pub(crate) fn refused(context: &str, reason: impl Into<String>) -> LogError {
    LogError::Engine {
        context: context.to_owned(),
        reason: reason.into(),
    }
}

thread_local! {
    /// Panics while something is [`contained`]; `None` outside.
    static PANICS: Cell<Option<u32>> = const { Cell::new(None) };
}

/// For a panic hook, which asks once per panic: whether redb panics again while it unwinds from a
/// panic on a damaged log. Rust then ends the process, whatever the caller would have done; the hook is the last
/// that can say why.
pub fn engine_cannot_unwind() -> bool {
    PANICS.with(|panics| {
        let now = panics.get().map(|before| before + 1);
        panics.set(now);
        now.is_some_and(|now| now > 1)
    })
}

/// redb panics on some damaged files (measured: 87 of 200 seeds with a lying disk). What it was
/// doing is lost then, the node is not.
pub(crate) fn contained<T>(
    context: &str,
    work: impl FnOnce() -> Result<T, LogError>,
) -> Result<T, LogError> {
    let outer = PANICS.replace(Some(0));
    let result = catch_unwind(AssertUnwindSafe(work));
    PANICS.set(outer);
    result.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(damaged(format!(
            "{context}: the engine panicked: {message}"
        )))
    })
}

/// The same class of error again, for a store that must not be used any more.
pub(crate) fn again(error: &LogError) -> LogError {
    match error {
        LogError::Io { context, source } => LogError::Io {
            context: format!("stopped by an earlier error: {context}"),
            source: io::Error::new(source.kind(), source.to_string()),
        },
        LogError::Damaged {
            group,
            index,
            reason,
        } => LogError::Damaged {
            group: *group,
            index: *index,
            reason: reason.clone(),
        },
        LogError::Lost { reason } => lost(reason.clone()),
        LogError::Compacted { group, index } => LogError::Compacted {
            group: *group,
            index: *index,
        },
        LogError::Engine { context, reason } => refused(context, reason.clone()),
    }
}
