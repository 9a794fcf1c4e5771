//! State machines, sessions, tickets.

use coracle_driver::task::{Answer, HostEntry, NotApplied};

use super::Outcome;
use super::worker::{Rig, list};

fn rule(holds: bool, text: &str) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(text.to_owned()),
    }
}

/// A command with a key, a checkpoint, a restart, and the command again.
pub(super) fn snapshot_without_sessions() -> Outcome {
    let mut rig = Rig::new()?;
    rig.outcome("append l a;", 1);
    rig.checkpoint();
    rig.restart();
    let again = rig.outcome("append l a;", 1);
    rule(
        again == Some((list("a;"), true)),
        "exactly once: a retry over a restart takes effect again",
    )
}

/// A command, a checkpoint, a restart.
pub(super) fn snapshot_without_chain() -> Outcome {
    let mut rig = Rig::new()?;
    rig.outcome("append l a;", 0);
    rig.checkpoint();
    let before = rig.chain();
    rig.restart();
    rig.run();
    rule(rig.chain() == before, "outcome chain: a restart changes it")
}

/// A restart with entries above the checkpoint.
pub(super) fn applied_twice_after_restart() -> Outcome {
    let mut rig = Rig::new()?;
    rig.checkpoint();
    let last = rig.command("append l a;", 0);
    rig.apply(last.index);
    let before = rig.chain();
    rig.restart();
    rig.apply(last.index);
    let whole = rig.outcome("append l b;", 0);
    rule(
        whole == Some((list("a;b;"), false)),
        "exactly once: an entry is applied twice after a restart",
    )?;
    rule(before.0 == last.index, "harness: it was applied before")
}

/// Everything is committed before anything is applied; then a trap has the instance rebuilt.
pub(super) fn checkpoint_at_commit() -> Outcome {
    let mut rig = Rig::new()?;
    rig.command("append l a;", 0);
    rig.host(&HostEntry::Checkpoint);
    rig.command("append l b;", 0);
    rig.command("trap", 0);
    let last = rig.command("append l c;", 0);
    rig.apply(last.index);
    let twin = rig.twin()?;
    rule(
        rig.chain() == twin.chain(),
        "outcome chain: replicas that apply at another pace differ",
    )
}

/// Four keys, and the first of them again.
pub(super) fn dedup_too_early() -> Outcome {
    let mut rig = Rig::new()?;
    for key in 1..=4 {
        rig.outcome("append l a;", key);
    }
    let again = rig.outcome("append l a;", 1);
    rule(
        again == Some((list("a;"), true)),
        "exactly once: a retry takes effect again",
    )
}

/// A replica that applies all at once, and one that has pauses in between.
pub(super) fn sessions_expire_locally() -> Outcome {
    let mut rig = Rig::new()?;
    rig.command("append l a;", 1);
    let again = rig.command("append l a;", 1);
    rig.apply(again.index);
    let twin = rig.twin()?;
    rule(
        rig.chain() == twin.chain(),
        "outcome chain: replicas that apply at another pace differ",
    )
}

/// Two replicas of which one has another outcome.
pub(super) fn chain_skips_outcomes() -> Outcome {
    let mut one = Rig::new()?;
    let mut other = Rig::new()?;
    one.outcome("append l a;", 0);
    other.outcome("append l b;", 0);
    rule(
        one.chain().1 != other.chain().1,
        "outcome chain: other outcomes have the same head",
    )
}

/// A client waits for an entry of term 1; another leader's entry is committed there.
pub(super) fn ticket_by_index_alone() -> Outcome {
    let mut rig = Rig::new()?;
    let mut position = rig.command_of(2, "append l a;", 0);
    position.term = 1;
    let ticket = rig.expect(position);
    rig.apply(position.index);
    let overwritten = Answer::NotApplied(NotApplied::Overwritten);
    rule(
        rig.answer(ticket) == Some(&overwritten),
        "tickets: a command that was overwritten is called applied",
    )
}

/// Two traps: the second rebuild passes over the first.
pub(super) fn skips_forgotten() -> Outcome {
    let mut rig = Rig::new()?;
    for body in ["append l a;", "trap", "append l b;", "trap"] {
        rig.outcome(body, 0);
    }
    let whole = rig.outcome("append l c;", 0);
    rule(rig.is_running(), "traps: the replica halts at a rebuild")?;
    rule(
        whole == Some((list("a;b;c;"), false)),
        "traps: a rebuild changes the state",
    )
}

/// A command after a trap.
pub(super) fn trap_keeps_instance() -> Outcome {
    let mut rig = Rig::new()?;
    for body in ["append l a;", "trap"] {
        rig.outcome(body, 0);
    }
    let whole = rig.outcome("append l b;", 0);
    rule(
        whole == Some((list("a;b;"), false)),
        "traps: the instance that trapped is used again",
    )
}

/// A read point is granted before this replica has come so far.
pub(super) fn read_before_applied() -> Outcome {
    let mut rig = Rig::new()?;
    let last = rig.command("append l a;", 0);
    let ticket = rig.read(last.index);
    rig.run();
    let early = rig.answer(ticket).is_some();
    rig.apply(last.index);
    rule(!early, "linearizable reads: answered before it is applied")?;
    rule(rig.answer(ticket).is_some(), "reads: never answered")
}
