//! Who was answered before another asked stands before the other: across all keys of a group.
//!
//! With the order given, the strictest bound on an operation is the latest place of all that was
//! answered before it was asked, so one sort and one search per operation are enough. An entry is
//! complete when anything of it is answered: a command asked after that stands behind it.

use std::collections::BTreeMap;

use crate::place::{Place, Places};
use crate::{Action, History, Operation, ReadKind, Rule, Violation};

/// What was answered in a group, by time: the latest place up to each, and whose it is.
type Floors = Vec<(u64, Place, usize)>;

pub(crate) fn check(history: &History, places: &Places<'_>) -> Result<(), Violation> {
    let floors = floors(history, places);
    for (operation, place) in history.operations.iter().zip(places.all()) {
        let Some(place) = *place else { continue };
        if let Some(wanted) = min_index(operation)
            && place.index < wanted
        {
            return Err(Violation::new(
                Rule::WentBack,
                &[operation.id],
                format!("{operation} was asked for index {wanted} or later"),
            ));
        }
        let Some(asked) = covers_until(operation) else {
            continue;
        };
        let floor = floors
            .get(operation.group.as_str())
            .and_then(|floors| floor(floors, asked));
        if let Some((floor, before)) = floor
            && (floor > place || floor.index == place.index && !operation.action.is_query())
        {
            let before = &history.operations[before];
            return Err(broken(operation, place, before, floor));
        }
    }
    Ok(())
}

fn min_index(operation: &Operation) -> Option<u64> {
    match operation.action {
        Action::Read(ReadKind::Stale { min_index, .. }) => min_index,
        _ => None,
    }
}

/// Everything answered before this must stand before the operation.
fn covers_until(operation: &Operation) -> Option<u64> {
    match operation.action {
        Action::Read(ReadKind::Stale { max_staleness, .. }) => {
            max_staleness.map(|most| operation.invoked.saturating_sub(most))
        }
        _ => Some(operation.invoked),
    }
}

fn floors<'a>(history: &'a History, places: &Places<'_>) -> BTreeMap<&'a str, Floors> {
    let mut floors: BTreeMap<&str, Floors> = BTreeMap::new();
    for (number, (operation, place)) in history.operations.iter().zip(places.all()).enumerate() {
        if let (Some(at), Some(place)) = (operation.returned(), place) {
            let floors = floors.entry(&operation.group).or_default();
            floors.push((at, *place, number));
        }
    }
    for floors in floors.values_mut() {
        floors.sort_unstable();
        for next in 1..floors.len() {
            let (_, place, number) = floors[next - 1];
            if place >= floors[next].1 {
                (floors[next].1, floors[next].2) = (place, number);
            }
        }
    }
    floors
}

fn floor(floors: &Floors, asked: u64) -> Option<(Place, usize)> {
    let before = floors.partition_point(|(at, ..)| *at < asked);
    let (_, place, number) = floors.get(before.checked_sub(1)?)?;
    Some((*place, *number))
}

fn broken(operation: &Operation, place: Place, before: &Operation, floor: Place) -> Violation {
    let rule = match (&operation.action, &before.action) {
        (Action::Read(ReadKind::Stale { .. }), _) => Rule::TooStale,
        (Action::Read(_), _) => Rule::StaleRead,
        (_, Action::Read(_)) => Rule::Future,
        _ => Rule::RealTime,
    };
    Violation::new(
        rule,
        &[before.id, operation.id],
        format!(
            "{operation} stands at {}, not behind {}, where {before} stands, which was answered before",
            place.index, floor.index
        ),
    )
}
