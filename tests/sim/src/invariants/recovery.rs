//! A start finds what was durable before: nothing less, and nothing that was never asked for.

use coracle_driver::RecoveredGroup;
use coracle_proto::{LogId, NodeId};

use super::shadow::{Image, Shadow};
use super::{Check, violated};

pub(super) fn recovered(at: NodeId, shadow: &mut Shadow, found: Option<&RecoveredGroup>) -> Check {
    let before = shadow.durable.clone();
    let mut after = before.clone();
    let uncertain = std::mem::take(&mut shadow.uncertain);
    uncertain.iter().for_each(|kind| after.write(kind));
    let same = |image: &&Image| is(image, found);
    let Some(image) = [&before, &after].into_iter().find(same) else {
        let (before, after) = (describe(&before), describe(&after));
        let found = found.map(|found| (&found.initial, &found.floor));
        return violated(
            "recovery",
            format!("{at} finds {found:?}; durable was {before}, or perhaps {after}"),
        );
    };
    shadow.durable = image.clone();
    shadow.asked = image.clone();
    Ok(())
}

fn is(image: &Image, found: Option<&RecoveredGroup>) -> bool {
    let Some(found) = found else {
        return !image.hosted;
    };
    let snapshot = found.floor.snapshot.as_ref();
    image.hosted
        && image.born == found.born
        && image.hard_state == found.initial.hard_state
        && image.floor == found.initial.floor
        && image.snapshot == snapshot.map_or(LogId::default(), |snapshot| snapshot.last)
        && image.last().index == found.initial.last
        && runs(image) == found.initial.terms
}

fn runs(image: &Image) -> Vec<LogId> {
    let mut runs: Vec<LogId> = Vec::new();
    for entry in &image.entries {
        if runs.last().is_none_or(|run| run.term != entry.term) {
            runs.push(entry.id());
        }
    }
    runs
}

fn describe(image: &Image) -> String {
    let Image {
        hard_state, floor, ..
    } = image;
    let (last, snapshot) = (image.last(), image.snapshot);
    format!("{hard_state:?} floor {floor} snapshot {snapshot} last {last}")
}
