//! The copy of a folder that is made before anything in it is changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::{RecoverError, io_error};
use super::folder::Locked;
use super::plan::Plan;

/// Room that is left beside a copy.
const SPARE_BYTES: u64 = 16 << 20;

/// Depth of folders in a data folder; deeper ones are no part of one.
const MAX_DEPTH: u32 = 8;

/// Copies the folders of all survivors; returns where to.
pub(super) fn copy_survivors(
    locked: &[Locked],
    plan: &Plan,
    to: Option<&Path>,
    said: &dyn Fn(&str),
) -> Result<Vec<PathBuf>, RecoverError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let mut copies = Vec::new();
    for folder in locked {
        let node = folder.node()?;
        if !plan.survivors.contains(&node) {
            continue;
        }
        let path = &folder.path;
        let full = fs::canonicalize(path).map_err(io_error("cannot find", path))?;
        let copy = match to {
            Some(to) => to.join(format!("{node}-before-recovery-{now}")),
            None => beside(&full, now),
        };
        said(&format!("copying {} to {}", path.display(), copy.display()));
        copy_folder(&full, &copy)?;
        copies.push(copy);
    }
    Ok(copies)
}

fn beside(folder: &Path, now: u64) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!("{name}-before-recovery-{now}"))
}

/// Copies a folder with everything in it, durably.
fn copy_folder(from: &Path, to: &Path) -> Result<(), RecoverError> {
    if to.exists() {
        return Err(RecoverError::CopyExists { path: to.into() });
    }
    fs::create_dir_all(to).map_err(io_error("cannot create", to))?;
    let needed = size(from, MAX_DEPTH)? + SPARE_BYTES;
    let free = coracle_log::free_bytes(to).map_err(io_error("cannot look at", to))?;
    if free < needed {
        fs::remove_dir(to).map_err(io_error("cannot remove", to))?;
        return Err(RecoverError::NoRoom {
            path: from.into(),
            to: to.parent().unwrap_or(to).into(),
            needed,
            free,
        });
    }
    copy_tree(from, to, MAX_DEPTH)?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    sync_folder(parent)
}

fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>, RecoverError> {
    let failed = || io_error("cannot read", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let kind = entry.file_type().map_err(failed())?;
        if kind.is_dir() || kind.is_file() {
            found.push((entry.path(), kind.is_dir()));
        }
    }
    Ok(found)
}

fn size(folder: &Path, depth: u32) -> Result<u64, RecoverError> {
    let mut bytes = 0;
    for (path, is_folder) in entries(folder)? {
        bytes += match is_folder {
            true if depth == 0 => 0,
            true => size(&path, depth - 1)?,
            false => {
                let metadata = fs::metadata(&path);
                metadata.map_err(io_error("cannot look at", &path))?.len()
            }
        };
    }
    Ok(bytes)
}

fn copy_tree(from: &Path, to: &Path, depth: u32) -> Result<(), RecoverError> {
    for (path, is_folder) in entries(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if !is_folder {
            let failed = || io_error("cannot copy to", &target);
            fs::copy(&path, &target).map_err(failed())?;
            let file = File::open(&target).map_err(failed())?;
            file.sync_all().map_err(failed())?;
        } else if depth > 0 {
            fs::create_dir(&target).map_err(io_error("cannot create", &target))?;
            copy_tree(&path, &target, depth - 1)?;
        }
    }
    sync_folder(to)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), RecoverError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("cannot sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_everything_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("data");
        fs::create_dir_all(from.join("log")).unwrap();
        fs::write(from.join("log/a"), b"one").unwrap();
        fs::write(from.join("b"), b"two").unwrap();

        let to = beside(&from, 7);
        copy_folder(&from, &to).unwrap();

        assert!(to.ends_with("data-before-recovery-7"));
        assert_eq!(fs::read(to.join("log/a")).unwrap(), b"one");
        assert_eq!(fs::read(to.join("b")).unwrap(), b"two");
        let again = copy_folder(&from, &to).unwrap_err();
        assert!(matches!(again, RecoverError::CopyExists { .. }), "{again}");
    }
}
