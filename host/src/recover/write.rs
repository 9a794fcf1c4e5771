//! Does what the plan says. Files first, then replicas that are replaced, then in one commit per
//! folder the forced entries of all groups: a folder is either as before or recovered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use coracle_driver::{
    Floor, Log as _, LogReader as _, SnapshotRef, Snapshots as _, Write, WriteKind,
};
use coracle_log::Replacement;
use coracle_proto::{Configuration, GroupId, HardState, Index, LogId, NodeId};

use super::copy::sync_folder;
use super::error::{RecoverError, io_error, log_error, snapshot_error};
use super::folder::{Folder, Locked};
use super::plan::{GroupPlan, Plan};
use super::report::{MARKER, Marker, MemberReport, Report};

/// Bytes of entries or of a file moved at once.
const CHUNK_BYTES: usize = 4 << 20;

/// Folder of the plugins' bytes.
const PLUGINS: &str = "plugins";

type Folders = BTreeMap<NodeId, Folder>;

pub(super) fn write(
    locked: &[Locked],
    plan: &Plan,
    report: &Report,
    said: &dyn Fn(&str),
) -> Result<(), RecoverError> {
    let mut folders = Folders::new();
    for folder in locked {
        let opened = match plan.survivors.contains(&folder.node()?) {
            true => folder.write()?,
            false => folder.look()?,
        };
        folders.insert(opened.node, opened);
    }
    for node in &plan.survivors {
        said(&format!("writing the folder of {node}"));
        bring_plugins(&folders, *node)?;
        for (group, group_plan) in &plan.groups {
            if let Some((born, true)) = group_plan.replicas.get(node) {
                let plan = (group_plan, plan.hard_state());
                replace(&mut folders, *node, *group, *born, plan)?;
            }
        }
    }
    for node in &plan.survivors {
        if let Some(folder) = folders.get_mut(node) {
            force(folder, plan)?;
            mark(&folder.path, plan, report)?;
        }
    }
    Ok(())
}

/// Replicas that are replaced may run plugins which were never here.
fn bring_plugins(folders: &Folders, node: NodeId) -> Result<(), RecoverError> {
    let Some(target) = folders.get(&node).map(|folder| folder.path.join(PLUGINS)) else {
        return Ok(());
    };
    fs::create_dir_all(&target).map_err(io_error("cannot create", &target))?;
    for other in folders.values().filter(|folder| folder.node != node) {
        let source = other.path.join(PLUGINS);
        let Ok(files) = fs::read_dir(&source) else {
            continue;
        };
        for file in files {
            let file = file.map_err(io_error("cannot read", &source))?;
            let name = file.file_name();
            let to = target.join(&name);
            let finished = Path::new(&name).extension().is_some_and(|it| it == "wasm");
            if finished && !to.exists() {
                // The node compares its digest before it is used.
                let failed = || io_error("cannot copy to", &to);
                fs::copy(file.path(), &to).map_err(failed())?;
                let copied = fs::File::open(&to).map_err(failed())?;
                copied.sync_all().map_err(failed())?;
            }
        }
    }
    sync_folder(&target)
}

/// Puts the source's replica in the place of a survivor's own.
fn replace(
    folders: &mut Folders,
    node: NodeId,
    group: GroupId,
    born: Index,
    plan: (&GroupPlan, HardState),
) -> Result<(), RecoverError> {
    let Some(mut target) = folders.remove(&node) else {
        return Ok(());
    };
    let done = replace_from(folders, &mut target, group, born, plan);
    folders.insert(node, target);
    done
}

fn replace_from(
    folders: &Folders,
    target: &mut Folder,
    group: GroupId,
    born: Index,
    (plan, hard_state): (&GroupPlan, HardState),
) -> Result<(), RecoverError> {
    let own = target.node == plan.source;
    let source = folders.get(&plan.source).filter(|_| !own);
    let recovered = source.map_or(&target.recovered, |source| &source.recovered);
    let Some(found) = recovered.groups.get(&group).cloned() else {
        return Ok(());
    };
    if let Some(snapshot) = &found.floor.snapshot {
        bring_snapshot(folders, target, group, snapshot)?;
    }
    // Its log is right and only its snapshot was not.
    if own && found.born == born {
        return Ok(());
    }
    let path = target.path.clone();
    let replacement = Replacement {
        born,
        hard_state,
        floor: found.floor.clone(),
    };
    // Its own entries are gone from its log once it is replaced.
    let at_once = if own { usize::MAX } else { CHUNK_BYTES };
    let reader = source
        .map_or(&target.reader, |source| &source.reader)
        .clone();
    let mut chunk = Vec::new();
    let mut next = found.initial.floor.index + 1;
    let mut replaced = false;
    loop {
        if next <= plan.last.index {
            let entries = reader.entries(group, next, plan.last.index, at_once);
            chunk = entries.map_err(log_error(&path))?;
            next += chunk.len() as Index;
        }
        if !replaced {
            let done = target.store.replace(group, &replacement);
            done.map_err(log_error(&path))?;
            replaced = true;
        }
        if chunk.is_empty() {
            return Ok(());
        }
        let append = Write {
            group,
            id: None,
            kind: WriteKind::Append {
                hard_state: None,
                entries: std::mem::take(&mut chunk),
            },
        };
        target.store.commit(&[append]).map_err(log_error(&path))?;
    }
}

/// Has the snapshot's file, sound, in the target.
fn bring_snapshot(
    folders: &Folders,
    target: &Folder,
    group: GroupId,
    snapshot: &SnapshotRef,
) -> Result<(), RecoverError> {
    if target.check(group, snapshot).is_ok() {
        return Ok(());
    }
    let mut has = folders.values();
    let Some(source) = has.find(|folder| folder.check(group, snapshot).is_ok()) else {
        let reason = "its file was there a moment ago".to_owned();
        return Err(RecoverError::NoSource { group, reason });
    };
    let failed = || snapshot_error(&target.path);
    let opened = source
        .snapshots
        .open(group, snapshot.last, &snapshot.digest);
    let mut reader = opened.map_err(failed())?;
    let mut receiver = target.snapshots.receive(group).map_err(failed())?;
    let (mut offset, len) = (0, reader.file_len());
    while offset < len {
        let count = (len - offset).min(CHUNK_BYTES as u64);
        let mut bytes = vec![0; count as usize];
        reader.read_raw(offset, &mut bytes).map_err(failed())?;
        receiver.write(&bytes).map_err(failed())?;
        offset += count;
    }
    let offered = Some((snapshot.last, snapshot.digest));
    receiver.finish(offered).map(drop).map_err(failed())
}

/// All groups' forced entries in one commit, and empty replicas for what is lost.
fn force(folder: &mut Folder, plan: &Plan) -> Result<(), RecoverError> {
    let mut writes: Vec<Write> = plan
        .groups
        .iter()
        .map(|(group, group_plan)| Write {
            group: *group,
            id: None,
            kind: WriteKind::Append {
                hard_state: Some(plan.hard_state()),
                entries: group_plan.forced.clone(),
            },
        })
        .collect();
    let removed = &folder.recovered.removed;
    let lost = plan
        .lost
        .keys()
        .filter(|group| !removed.contains_key(group));
    writes.extend(lost.map(|group| Write {
        group: *group,
        id: None,
        kind: WriteKind::Host {
            floor: Floor {
                last: LogId::default(),
                configuration: Configuration::initial(plan.survivors.iter().copied()),
                snapshot: None,
            },
            born: 0,
        },
    }));
    let failed = || log_error(&folder.path);
    folder.store.commit(&writes).map_err(failed())?;
    folder.store.close().map_err(failed())
}

fn mark(path: &Path, plan: &Plan, report: &Report) -> Result<(), RecoverError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let groups = plan.groups.iter().map(|(group, plan)| MemberReport {
        group: group.0,
        last: (plan.last.term, plan.last.index),
        source: plan.source.0,
    });
    let marker = Marker {
        at: now.map_or(0, |now| now.as_secs()),
        survivors: report.survivors.clone(),
        removed: report.removed.clone(),
        groups: groups.collect(),
    };
    let file = path.join(MARKER);
    let text = serde_json::to_vec(&marker).expect("invariant: plain data encodes");
    let failed = || io_error("cannot write", &file);
    fs::write(&file, text).map_err(failed())?;
    let written = fs::File::open(&file).map_err(failed())?;
    written.sync_all().map_err(failed())?;
    sync_folder(path)
}
