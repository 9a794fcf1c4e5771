//! A vote or an acknowledgement is sent only when what it claims is durable (thesis §3.8).

use coracle_proto::{AppendOutcome, Envelope, Message, VoteKind};

use super::shadow::Shadow;
use super::{Check, violated};

pub(super) fn sent(envelope: &Envelope, shadow: &Shadow) -> Check {
    let Envelope { from, to, term, .. } = envelope;
    let durable = &shadow.durable;
    let state = durable.hard_state;
    match &envelope.message {
        Message::VoteReply {
            kind: VoteKind::Real | VoteKind::Transfer,
            granted: true,
        } if state.term == *term && state.vote != Some(*to) || state.term < *term => violated(
            "persist before send",
            format!("{from} grants {to} its vote in term {term}, but durable is {state:?}"),
        ),
        Message::AppendReply(AppendOutcome::Matched { index })
            if durable.last().index.max(durable.snapshot.index) < *index =>
        {
            let last = durable.last();
            violated(
                "persist before send",
                format!("{from} acknowledges {index} in term {term}, but durable is {last}"),
            )
        }
        _ => Ok(()),
    }
}
