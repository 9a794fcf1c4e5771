//! What a start found, in the words of the driver.

use coracle_driver::{LogError, Recovered, RecoveredGroup};
use coracle_proto::{Configuration, EntryKind, GroupId, Initial, SnapshotMeta};

use crate::index::{LogIndex, Replica};
use crate::mutant::mutant;
use crate::reader::{read, wanted};
use crate::table::View;

pub(crate) fn recovered(view: &View<'_>, index: &LogIndex) -> Result<Recovered, LogError> {
    let groups = index
        .replicas
        .iter()
        .map(|(group, replica)| Ok((*group, recovered_group(view, *group, replica)?)));
    Ok(Recovered {
        groups: groups.collect::<Result<_, LogError>>()?,
        removed: index
            .tombstones
            .iter()
            .map(|(group, tombstone)| (*group, tombstone.born))
            .collect(),
    })
}

fn recovered_group(
    view: &View<'_>,
    group: GroupId,
    replica: &Replica,
) -> Result<RecoveredGroup, LogError> {
    let state = &replica.state;
    let snapshot = state.floor.snapshot.as_ref();
    let initial = Initial {
        hard_state: state.hard_state,
        floor: match (mutant!(FloorIsSnapshot), snapshot) {
            (true, Some(snapshot)) => snapshot.last,
            _ => state.floor.last,
        },
        snapshot: snapshot.map(|snapshot| SnapshotMeta {
            last: snapshot.last,
            configuration: snapshot.configuration.clone(),
        }),
        terms: replica.terms().collect(),
        last: replica.last(),
        configurations: configurations(view, group, replica)?,
    };
    Ok(RecoveredGroup {
        initial,
        born: state.born,
        floor: state.floor.clone(),
        applied: state.applied,
    })
}

/// The configuration at the floor and those that entries above it set.
fn configurations(
    view: &View<'_>,
    group: GroupId,
    replica: &Replica,
) -> Result<Vec<Configuration>, LogError> {
    let mut configurations = vec![replica.state.floor.configuration.clone()];
    for index in replica.first()..=replica.last() {
        let is_configuration = replica
            .slot(index)
            .is_some_and(|slot| slot.kind == EntryKind::Configuration);
        if !is_configuration {
            continue;
        }
        for entry in read(Some(view), wanted(replica, group, index, index, usize::MAX))? {
            let configuration =
                Configuration::decode(&entry.payload).map_err(|error| LogError::Damaged {
                    group: group.0,
                    index,
                    reason: error.to_string(),
                })?;
            configurations.push(Configuration {
                index,
                ..configuration
            });
        }
    }
    Ok(configurations)
}
