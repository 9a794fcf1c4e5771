//! Each operation has one effect and one answer, however often it was asked and answered.

use std::collections::{BTreeMap, BTreeSet};

use crate::{History, Operation, Rule, Violation};

/// The history makes sense, and nobody was told two things.
pub(crate) fn check(history: &History) -> Result<(), Violation> {
    let mut ids = BTreeSet::new();
    let mut sessions = BTreeMap::new();
    for operation in &history.operations {
        if !ids.insert(operation.id) {
            return Err(malformed(operation, "its id is not its own"));
        }
        if let Some(session) = operation.session
            && let Some(other) = sessions.insert((&operation.group, session), operation.id)
        {
            let detail = format!("its session {session} is that of operation {other}");
            return Err(malformed(operation, &detail));
        }
        makes_sense(operation)?;
        answers_agree(operation)?;
    }
    Ok(())
}

fn makes_sense(operation: &Operation) -> Result<(), Violation> {
    let early = |reply: &&crate::Reply| reply.at < operation.invoked;
    if operation.replies.iter().any(|reply| early(&reply)) {
        return Err(malformed(operation, "it was answered before it was asked"));
    }
    let late = operation
        .replies
        .windows(2)
        .any(|two| two[1].at < two[0].at);
    if late {
        return Err(malformed(operation, "its answers are not in order"));
    }
    if operation.not_applied && !operation.replies.is_empty() {
        return Err(Violation::new(
            Rule::NotApplied,
            &[operation.id],
            format!("{operation} was answered and called not applied"),
        ));
    }
    if operation.action.is_query() && (operation.replies.len() > 1 || operation.session.is_some()) {
        return Err(malformed(
            operation,
            "a query has one answer and no session",
        ));
    }
    Ok(())
}

fn answers_agree(operation: &Operation) -> Result<(), Violation> {
    let Some(first) = operation.replies.first() else {
        return Ok(());
    };
    let same =
        |reply: &&crate::Reply| (reply.index, &reply.outcome) == (first.index, &first.outcome);
    match operation.replies.iter().find(|reply| !same(reply)) {
        None => Ok(()),
        Some(other) => Err(Violation::new(
            Rule::ExactlyOnce,
            &[operation.id],
            format!(
                "{operation} was then answered {:?} at {}",
                other.outcome, other.index
            ),
        )),
    }
}

fn malformed(operation: &Operation, what: &str) -> Violation {
    Violation::new(
        Rule::Malformed,
        &[operation.id],
        format!("{operation}: {what}"),
    )
}
