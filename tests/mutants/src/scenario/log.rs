//! The durable log.

use coracle_driver::WriteKind;
use coracle_proto::{GroupId, LogId};

use super::Outcome;
use crate::storage::{GROUPS, Rig, append, floor, host, write};

/// Commits after which rows were deleted for certain.
const MANY: u64 = 400;

const ONE: GroupId = GROUPS[0];
const TWO: GroupId = GROUPS[1];

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

/// Group 1 is hosted.
fn hosted() -> Result<Rig, String> {
    let mut rig = Rig::new(1);
    rig.start()?;
    rig.commit(&[host(ONE, 0)])?;
    Ok(rig)
}

fn restart(mut rig: Rig) -> Outcome {
    rig.die(false);
    rig.start()
}

/// A bit of an entry turns that is not in the last commit, which the anchor would vouch for.
pub(super) fn record_checksum_skipped() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 1, 1, 8, false)])?;
    rig.commit(&[append(ONE, 2, 9, 1, true)])?;
    rig.close()?;
    let payload = b"1/5 xxxx";
    let file = rig.copy();
    let places = file.windows(payload.len()).enumerate();
    let places: Vec<_> = places.filter(|(_, at)| at == payload).collect();
    let bits: Vec<_> = places.iter().map(|(at, _)| *at as u64 * 8 + 41).collect();
    if bits.is_empty() {
        return Err("harness: the entry is not in the file".into());
    }
    bits.into_iter().try_for_each(|bit| rig.turn(bit))
}

/// Somebody restores a copy of the log from before a vote.
pub(super) fn anchor_not_checked() -> Outcome {
    let mut rig = hosted()?;
    rig.die(false);
    let copy = rig.copy();
    rig.start()?;
    rig.commit(&[append(ONE, 7, 1, 1, true)])?;
    rig.restore(&copy)
}

/// A vote, then a compaction, then a restart.
pub(super) fn hard_state_lost_on_compaction() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 3, 1, 5, true)])?;
    let floor = floor(id(3, 4), id(3, 4));
    rig.commit(&[write(ONE, WriteKind::Compact { floor })])?;
    restart(rig)
}

/// A vote, then another replica in the place of this one, then a restart.
pub(super) fn heir_forgets_vote() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 3, 1, 5, true)])?;
    rig.commit(&[host(ONE, 4)])?;
    restart(rig)
}

/// Two of five entries are applied, then a restart.
pub(super) fn applied_hint_ahead() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 1, 1, 5, false)])?;
    rig.commit(&[write(ONE, WriteKind::Applied { index: 2 })])?;
    rig.commit(&[append(ONE, 2, 6, 1, true)])?;
    restart(rig)
}

/// One entry overwrites the last three of five, then a restart.
pub(super) fn old_tail_kept() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 1, 1, 5, false)])?;
    rig.commit(&[append(ONE, 2, 3, 1, false)])?;
    restart(rig)
}

/// A snapshot of five entries with a tail of two kept below its end, then a restart.
pub(super) fn floor_is_snapshot() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 1, 1, 5, false)])?;
    let floor = floor(id(1, 3), id(1, 5));
    rig.commit(&[write(ONE, WriteKind::Compact { floor })])?;
    restart(rig)
}

/// Group 1 stands still while group 2 writes and compacts.
pub(super) fn rows_deleted_too_early() -> Outcome {
    let mut rig = hosted()?;
    rig.commit(&[append(ONE, 1, 1, 5, true), host(TWO, 0)])?;
    for index in 1..=MANY {
        let floor = floor(id(1, index), id(1, index));
        let compact = write(TWO, WriteKind::Compact { floor });
        rig.commit(&[append(TWO, 1, index, 1, false), compact])?;
    }
    restart(rig)
}

/// The power goes right after a commit.
pub(super) fn sync_skipped() -> Outcome {
    let mut rig = hosted()?;
    for index in 1..=4 {
        rig.commit(&[append(ONE, index, index, 1, true)])?;
        rig.die(true);
        rig.start()?;
    }
    Ok(())
}
