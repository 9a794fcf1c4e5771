//! What answers mean for a history.

use coracle_driver::Reply;
use coracle_driver::task::{NotApplied, Outcome as Replicated};
use coracle_history::{Action, Outcome};

/// What the state machine's answer to a command says. `None`: nothing about a key.
pub(super) fn of_outcome(action: &Action, outcome: &Replicated) -> Option<Outcome> {
    match outcome {
        Replicated::Ok(bytes) if action.only_reads() => {
            Outcome::of(action, false, unversioned(bytes))
        }
        Replicated::Ok(bytes) => Outcome::of(action, false, bytes),
        Replicated::Refused(bytes) => Outcome::of(action, true, bytes),
        _ => None,
    }
}

/// What its answer to a query says.
pub(super) fn of_reply(action: &Action, reply: &Reply) -> Option<Outcome> {
    match reply {
        Reply::Ok(bytes) => Outcome::of(action, false, unversioned(bytes)),
        Reply::Refused(bytes) => Outcome::of(action, true, bytes),
    }
}

/// The value that the key had then, if the answer says so.
pub(super) fn value_after(action: &Action, outcome: &Outcome) -> Option<String> {
    match (action, outcome) {
        (_, Outcome::Value(value)) | (Action::Put(value), Outcome::Done) => Some(value.clone()),
        (Action::Cas { new, .. }, Outcome::Done) => Some(new.clone()),
        _ => None,
    }
}

/// Refused before or instead of an entry of its own. (What a state machine that never started
/// refuses has an entry.)
pub(super) fn has_no_entry(why: &NotApplied) -> bool {
    matches!(
        why,
        NotApplied::NotLeader { .. }
            | NotApplied::Busy
            | NotApplied::Uncommitted
            | NotApplied::Transferring
            | NotApplied::NoGroup
            | NotApplied::DiskFull
            | NotApplied::Overwritten
    )
}

/// The value alone: what `get` answers begins with the version of the state machine, if it was
/// ever upgraded.
pub(crate) fn unversioned(answer: &[u8]) -> &[u8] {
    let colon = answer.iter().position(|byte| *byte == b':');
    colon.map_or(answer, |colon| &answer[colon + 1..])
}
