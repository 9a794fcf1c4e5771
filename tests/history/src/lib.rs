//! What clients of a key-value state machine saw, and whether a single copy could have shown it.
//!
//! A harness (the simulator, or a test with real processes) gives each client a [`Recorder`], joins
//! them to a [`History`], adds the committed log if it has it, and calls [`check`]. The same
//! history, [saved](History::write) one record a line, is checked by `coracle-check FILE`.
//!
//! Two checks that share no code but the [model](Action::apply) must agree:
//!
//! - the [witness](check_witness): the log's own order explains every result, and respects who was
//!   answered before who asked. It sees all keys of a group at once and costs a sort;
//! - the [search](check_search): per key, some order explains every result, whatever the log says.
//!   It knows nothing of indexes. What it cannot decide within its bounds is a violation.
//!
//! Values are only worth checking if they differ: every `put`, `append` and `cas` writes a value of
//! its own.

mod action;
mod history;
mod once;
mod operation;
mod place;
mod real_time;
mod recorder;
mod search;
mod values;
mod violation;
mod witness;

pub use action::{Action, ReadKind, Results};
pub use history::{FormatError, History, Logged};
pub use operation::{Fate, Operation, Outcome, Reply, Session};
pub use recorder::Recorder;
pub use violation::{Report, Rule, Violation};

use place::Places;

/// Checks a history both ways.
pub fn check(history: &History) -> Result<Report, Violation> {
    let places = Places::of(history)?;
    let mut report = report(history, &places);
    real_time::check(history, &places)?;
    witness::check(history, &places)?;
    search::check(history, &places, &mut report)?;
    Ok(report)
}

/// Checks that the log's order explains every answer and respects time.
pub fn check_witness(history: &History) -> Result<(), Violation> {
    let places = Places::of(history)?;
    real_time::check(history, &places)?;
    witness::check(history, &places)
}

/// Checks that each key has an order that explains every answer. Stale reads have no part in it.
pub fn check_search(history: &History) -> Result<Report, Violation> {
    let places = Places::of(history)?;
    let mut report = report(history, &places);
    search::check(history, &places, &mut report)?;
    Ok(report)
}

fn report(history: &History, places: &Places<'_>) -> Report {
    let mut report = Report::default();
    for (operation, place) in history.operations.iter().zip(places.all()) {
        report.operations += 1;
        report.retries += (operation.replies.len() as u64).saturating_sub(1);
        match operation.fate() {
            Fate::Answered(_) => report.answered += 1,
            Fate::Unknown if !operation.action.is_query() => {
                report.unknown += 1;
                report.resolved += u64::from(place.is_some());
            }
            Fate::Unknown | Fate::NotApplied => {}
        }
        let answered = operation.returned().is_some();
        report.reads += u64::from(answered && operation.action.is_query());
    }
    report
}
