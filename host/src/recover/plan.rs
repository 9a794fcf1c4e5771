//! What is to be done: per group the log to go on from, and the entries forced on top of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use coracle_driver::directory::DirectoryState;
use coracle_driver::payload::{MAX_GROUP_COMMANDS, encode_commands};
use coracle_driver::{RecoveredGroup, SnapshotRef};
use coracle_proto::{
    Configuration, Entry, EntryKind, GroupId, HardState, Index, LogId, NodeId, ReplicaId, Term,
};

use super::error::{RecoverError, io_error};
use super::folder::Folder;

/// Folders taken at once; as many as there are peers.
pub(super) const MAX_FOLDERS: usize = 15;

/// How far the new term lies above all that were found. Nodes that were left behind and come back
/// may have gone on electing among themselves: theirs must stay below.
const TERMS_AHEAD: Term = 1000;

/// Where random bytes come from.
const RANDOM: &str = "/dev/urandom";

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// The only voters from then on.
    pub(super) survivors: BTreeSet<NodeId>,
    /// Members of any group that do not survive.
    pub(super) left: BTreeSet<NodeId>,
    /// The term of the forced entries.
    pub(super) term: Term,
    pub(super) groups: BTreeMap<GroupId, GroupPlan>,
    /// Groups that the directory wants and no folder holds: they begin anew, empty.
    pub(super) lost: BTreeMap<GroupId, String>,
}

/// What is to be done with one group.
#[derive(Debug)]
pub(super) struct GroupPlan {
    /// Whose log it goes on from.
    pub(super) source: NodeId,
    /// The last entry of that log.
    pub(super) last: LogId,
    /// What is put on top of it.
    pub(super) forced: Vec<Entry>,
    /// Per survivor its replica, and whether its own log is replaced by the source's.
    pub(super) replicas: BTreeMap<NodeId, (Index, bool)>,
    /// Per source that could not be used, why.
    pub(super) unusable: BTreeMap<NodeId, String>,
}

/// One folder's replica of a group.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    node: NodeId,
    found: &'a RecoveredGroup,
}

impl Plan {
    pub(super) fn make(
        folders: &[Folder],
        survivors: Option<&BTreeSet<NodeId>>,
        directory: Option<&DirectoryState>,
    ) -> Result<Self, RecoverError> {
        if folders.is_empty() || folders.len() > MAX_FOLDERS {
            return Err(RecoverError::Count {
                count: folders.len(),
                limit: MAX_FOLDERS,
            });
        }
        let survivors = match survivors {
            Some(survivors) => given(survivors, folders)?,
            None => BTreeSet::from([best_folder(folders)]),
        };
        let term = highest_term(folders) + TERMS_AHEAD;
        let mut plan = Self {
            left: members(folders, directory)
                .difference(&survivors)
                .copied()
                .collect(),
            survivors,
            term,
            groups: BTreeMap::new(),
            lost: BTreeMap::new(),
        };
        let all: BTreeSet<GroupId> = folders
            .iter()
            .flat_map(|folder| folder.recovered.groups.keys().copied())
            .collect();
        for group in all {
            let made = plan.group(folders, group)?;
            plan.groups.insert(group, made);
        }
        plan.add_removals(directory)?;
        plan.lost = plan.lost_groups(directory);
        Ok(plan)
    }

    fn group(&self, folders: &[Folder], group: GroupId) -> Result<GroupPlan, RecoverError> {
        let mut candidates: Vec<Candidate<'_>> = folders
            .iter()
            .filter_map(|folder| {
                let found = folder.recovered.groups.get(&group)?;
                let node = folder.node;
                Some(Candidate { node, found })
            })
            .collect();
        // The best first; a survivor before others that have the same.
        candidates.sort_by_key(|candidate| {
            let survives = self.survivors.contains(&candidate.node);
            (std::cmp::Reverse(last(candidate.found)), !survives)
        });
        let mut unusable = BTreeMap::new();
        for source in candidates {
            match sound_snapshot(folders, group, source.found.floor.snapshot.as_ref()) {
                Ok(()) => return Ok(self.going_on_from(folders, group, source, unusable)),
                Err(reason) => unusable.insert(source.node, reason),
            };
        }
        let reason = unusable.into_values().next().unwrap_or_default();
        Err(RecoverError::NoSource { group, reason })
    }

    fn going_on_from(
        &self,
        folders: &[Folder],
        group: GroupId,
        source: Candidate<'_>,
        unusable: BTreeMap<NodeId, String>,
    ) -> GroupPlan {
        let last = last(source.found);
        let index = last.index + 1;
        let latest = source.found.initial.configurations.last();
        let members = latest.map(Configuration::members).unwrap_or_default();
        let mut replicas = BTreeMap::new();
        for node in &self.survivors {
            let member = members.iter().filter(|member| member.node == *node).max();
            let born = member.map_or(index, |member| member.born);
            let own = folders
                .iter()
                .find(|folder| folder.node == *node)
                .and_then(|folder| folder.recovered.groups.get(&group));
            let same = own.is_some_and(|own| {
                own.born == born
                    && self::last(own) == last
                    && sound_here(folders, *node, group, own.floor.snapshot.as_ref())
            });
            replicas.insert(*node, (born, !same));
        }
        let voters = replicas
            .iter()
            .map(|(node, (born, _))| ReplicaId {
                node: *node,
                born: *born,
            })
            .collect();
        let configuration = Configuration {
            index,
            voters,
            ..Configuration::default()
        };
        let forced = Entry {
            term: self.term,
            index,
            kind: EntryKind::Configuration,
            payload: configuration.encode(),
        };
        GroupPlan {
            source: source.node,
            last,
            forced: vec![forced],
            replicas,
            unusable,
        }
    }

    /// The directory forgets the nodes that were left, in the same entry everywhere.
    fn add_removals(&mut self, directory: Option<&DirectoryState>) -> Result<(), RecoverError> {
        let (Some(directory), Some(system)) = (directory, self.groups.get_mut(&GroupId::SYSTEM))
        else {
            return Ok(());
        };
        let commands = super::directory::removals(directory, &self.survivors, &self.left);
        if commands.is_empty() {
            return Ok(());
        }
        let mut seed = [0; 32];
        File::open(RANDOM)
            .and_then(|mut random| random.read_exact(&mut seed))
            .map_err(io_error("cannot read", RANDOM.as_ref()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        for (at, commands) in commands.chunks(MAX_GROUP_COMMANDS).enumerate() {
            system.forced.push(Entry {
                term: self.term,
                index: system.last.index + 2 + at as Index,
                kind: EntryKind::Normal,
                payload: encode_commands(now, seed, commands),
            });
        }
        Ok(())
    }

    fn lost_groups(&self, directory: Option<&DirectoryState>) -> BTreeMap<GroupId, String> {
        let fsms = directory.into_iter().flat_map(|state| &state.fsms);
        fsms.filter(|(_, fsm)| !self.groups.contains_key(&fsm.group))
            .map(|(name, fsm)| (fsm.group, name.clone()))
            .collect()
    }

    /// Term and vote of a survivor.
    pub(super) fn hard_state(&self) -> HardState {
        HardState {
            term: self.term,
            vote: None,
        }
    }
}

/// The last entry of a replica's log.
pub(super) fn last(found: &RecoveredGroup) -> LogId {
    let initial = &found.initial;
    let run = initial.terms.iter().rfind(|run| run.index <= initial.last);
    match run {
        Some(run) if initial.last > initial.floor.index => LogId {
            term: run.term,
            index: initial.last,
        },
        _ => initial.floor,
    }
}

fn given(
    survivors: &BTreeSet<NodeId>,
    folders: &[Folder],
) -> Result<BTreeSet<NodeId>, RecoverError> {
    let nodes: BTreeSet<NodeId> = folders.iter().map(|folder| folder.node).collect();
    match survivors.difference(&nodes).next() {
        None => Ok(survivors.clone()),
        Some(node) => Err(RecoverError::NotGiven {
            node: *node,
            given: names(&nodes),
        }),
    }
}

/// The node whose group 0 is most up to date; then, who has most in all.
fn best_folder(folders: &[Folder]) -> NodeId {
    let rank = |folder: &Folder| {
        let groups = &folder.recovered.groups;
        let system = groups.get(&GroupId::SYSTEM).map(last);
        let all: u64 = groups.values().map(|found| found.initial.last).sum();
        (system, all, std::cmp::Reverse(folder.node))
    };
    let best = folders.iter().max_by_key(|folder| rank(folder));
    best.map_or(NodeId(0), |folder| folder.node)
}

fn highest_term(folders: &[Folder]) -> Term {
    let groups = folders
        .iter()
        .flat_map(|folder| folder.recovered.groups.values());
    let terms = groups.map(|found| found.initial.hard_state.term.max(last(found).term));
    terms.max().unwrap_or(0)
}

fn members(folders: &[Folder], directory: Option<&DirectoryState>) -> BTreeSet<NodeId> {
    let groups = folders
        .iter()
        .flat_map(|folder| folder.recovered.groups.values());
    let latest = groups.filter_map(|found| found.initial.configurations.last());
    let mut nodes: BTreeSet<NodeId> = latest
        .flat_map(Configuration::members)
        .map(|member| member.node)
        .collect();
    nodes.extend(directory.into_iter().flat_map(super::directory::nodes));
    nodes
}

/// Whether any folder has the snapshot's file, sound.
fn sound_snapshot(
    folders: &[Folder],
    group: GroupId,
    snapshot: Option<&SnapshotRef>,
) -> Result<(), String> {
    let Some(snapshot) = snapshot else {
        return Ok(());
    };
    let mut reason = String::new();
    for folder in folders {
        match folder.check(group, snapshot) {
            Ok(()) => return Ok(()),
            Err(why) => reason = format!("{}: {why}", folder.path.display()),
        }
    }
    Err(reason)
}

fn sound_here(
    folders: &[Folder],
    node: NodeId,
    group: GroupId,
    snapshot: Option<&SnapshotRef>,
) -> bool {
    let folder = folders.iter().find(|folder| folder.node == node);
    snapshot.is_none_or(|snapshot| folder.is_some_and(|it| it.check(group, snapshot).is_ok()))
}

/// `n1, n2`.
pub(super) fn names(nodes: &BTreeSet<NodeId>) -> String {
    let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    names.join(", ")
}
