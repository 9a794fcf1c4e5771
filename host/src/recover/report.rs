//! What was found and what is done about it, for people and scripts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_client::RecoveredInfo;
use coracle_driver::RecoveredGroup;
use coracle_driver::directory::DirectoryState;
use coracle_proto::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::plan::{GroupPlan, Plan, last};

/// File in a data folder that says that it was recovered.
pub(super) const MARKER: &str = "recovered";

/// The whole picture.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether anything was written.
    pub written: bool,
    /// The only voters afterwards.
    pub survivors: Vec<u64>,
    /// Members that are removed for ever.
    pub removed: Vec<u64>,
    /// The term of the forced entries.
    pub term: u64,
    /// What was given.
    pub folders: Vec<FolderReport>,
    /// Groups that no folder holds.
    pub lost: Vec<LostGroup>,
    /// Where the copies are.
    pub copies: Vec<PathBuf>,
}

/// One folder.
#[derive(Debug, Clone, Serialize)]
pub struct FolderReport {
    /// Where.
    pub path: PathBuf,
    /// Whose.
    pub node: u64,
    /// Whether it goes on.
    pub survives: bool,
    /// What its anchor proves to be missing from its log.
    pub loss: Option<String>,
    /// Its groups.
    pub groups: Vec<GroupReport>,
}

/// One replica.
#[derive(Debug, Clone, Serialize)]
pub struct GroupReport {
    /// The group.
    pub group: u64,
    /// The fsm; `None`: the directory, or one that the directory does not name.
    pub fsm: Option<String>,
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<String>,
    /// Term and index of its last entry.
    pub last: (u64, u64),
    /// Its entries up to here are gone.
    pub floor: u64,
    /// Its state machine had applied at least this; what is above may never have been committed.
    pub applied: u64,
    /// The snapshot it would restart from.
    pub snapshot: Option<SnapshotReport>,
    /// Its configuration.
    pub configuration: String,
    /// What becomes of it.
    pub action: Action,
    /// Entries that the best log has and this one does not.
    pub behind: u64,
    /// Entries that are lost because this log, though better, cannot be used.
    pub unusable: Option<String>,
}

/// A snapshot of a replica.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotReport {
    /// Its last entry.
    pub index: u64,
    /// What is wrong with its file.
    pub damage: Option<String>,
}

/// What becomes of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The forced entries are put on top of its log.
    Continue,
    /// Its log is replaced by that of another folder, then as above.
    Replace,
    /// It does not survive.
    Leave,
}

/// An fsm of which nothing is left.
#[derive(Debug, Clone, Serialize)]
pub struct LostGroup {
    /// Its group.
    pub group: u64,
    /// The fsm.
    pub fsm: String,
}

/// What stays in a recovered folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Marker {
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// The only voters from then on.
    pub survivors: Vec<u64>,
    /// Members that were removed for ever.
    pub removed: Vec<u64>,
    /// Where the logs were forced to go on: per group the last entry that was kept.
    pub groups: Vec<MemberReport>,
}

/// Where one group's log was forced to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberReport {
    /// The group.
    pub group: u64,
    /// Term and index of the last entry that was kept.
    pub last: (u64, u64),
    /// The node whose log it is.
    pub source: u64,
}

impl From<Marker> for RecoveredInfo {
    fn from(marker: Marker) -> Self {
        Self {
            at: marker.at,
            survivors: marker.survivors,
            removed: marker.removed,
        }
    }
}

pub(super) fn report(
    folders: &[Folder],
    plan: &Plan,
    directory: Option<&DirectoryState>,
) -> Report {
    let names: BTreeMap<GroupId, &str> = directory
        .into_iter()
        .flat_map(|state| &state.fsms)
        .map(|(name, fsm)| (fsm.group, name.as_str()))
        .collect();
    Report {
        written: false,
        survivors: plan.survivors.iter().map(|node| node.0).collect(),
        removed: plan.left.iter().map(|node| node.0).collect(),
        term: plan.term,
        folders: folders
            .iter()
            .map(|folder| folder_report(folder, plan, &names))
            .collect(),
        lost: plan
            .lost
            .iter()
            .map(|(group, fsm)| LostGroup {
                group: group.0,
                fsm: fsm.clone(),
            })
            .collect(),
        copies: Vec::new(),
    }
}

fn folder_report(folder: &Folder, plan: &Plan, names: &BTreeMap<GroupId, &str>) -> FolderReport {
    let groups = folder.recovered.groups.iter();
    let groups = groups.filter_map(|(group, found)| {
        let plan = plan.groups.get(group)?;
        let name = names.get(group).map(|name| (*name).to_owned());
        Some(group_report(folder, *group, found, plan, name))
    });
    FolderReport {
        path: folder.path.clone(),
        node: folder.node.0,
        survives: plan.survivors.contains(&folder.node),
        loss: folder.store.loss().map(str::to_owned),
        groups: groups.collect(),
    }
}

fn group_report(
    folder: &Folder,
    group: GroupId,
    found: &RecoveredGroup,
    plan: &GroupPlan,
    fsm: Option<String>,
) -> GroupReport {
    let last = last(found);
    let hard_state = found.initial.hard_state;
    let snapshot = found.floor.snapshot.as_ref();
    GroupReport {
        group: group.0,
        fsm,
        term: hard_state.term,
        vote: hard_state.vote.map(|vote| vote.to_string()),
        last: (last.term, last.index),
        floor: found.floor.last.index,
        applied: found.applied.max(snapshot.map_or(0, |it| it.last.index)),
        snapshot: snapshot.map(|snapshot| SnapshotReport {
            index: snapshot.last.index,
            damage: folder.check(group, snapshot).err(),
        }),
        configuration: found
            .initial
            .configurations
            .last()
            .map_or_else(String::new, ToString::to_string),
        action: action(plan, folder.node),
        behind: plan.last.index.saturating_sub(last.index),
        unusable: plan.unusable.get(&folder.node).cloned(),
    }
}

fn action(plan: &GroupPlan, node: NodeId) -> Action {
    match plan.replicas.get(&node) {
        None => Action::Leave,
        Some((_, true)) => Action::Replace,
        Some((_, false)) => Action::Continue,
    }
}
