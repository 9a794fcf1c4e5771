//! What a run has written down, by its own count: a folder that holds less proves nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The name of the file.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The plan of a run.
pub(crate) const PLAN: &str = "plan.json";
/// Its faults.
pub(crate) const TIMELINE: &str = "timeline.ndjson";
/// The folder of what the nodes wrote to stderr.
pub(crate) const LOGS: &str = "logs";

/// Lines about each group.
pub(crate) type Lines = BTreeMap<u64, u64>;

/// What there must be. Each number is counted by whoever wrote the file, not read from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The operations of each history, by the name of its file.
    pub histories: BTreeMap<String, u64>,
    /// The lines about each group that each node's file of chains holds.
    pub chains: BTreeMap<String, Lines>,
    /// The nodes of which the end is known; none if the run did not come to its end.
    pub ends: Vec<u64>,
    /// The lines of the timeline.
    pub timeline: u64,
    /// Whether nodes wrote what their cores did.
    pub traced: bool,
    /// Bytes of the files that the nodes wrote themselves, when the last of them had ended.
    pub files: BTreeMap<String, u64>,
}

impl Manifest {
    /// Reads that of a run.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        serde_json::from_slice(&text).map_err(|error| unreadable(&path, error))
    }

    /// Adds the files of a folder of the run, with their length.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn weigh(&mut self, run: &Path, below: &str) -> Result<(), Failure> {
        let folder = run.join(below);
        let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let length = entry
                .metadata()
                .map_err(|error| unreadable(&folder, error))?;
            let name = format!("{below}/{}", entry.file_name().to_string_lossy());
            self.files.insert(name, length.len());
        }
        Ok(())
    }

    /// What the folder lacks of what does not have to be understood to be counted.
    pub(crate) fn lacks(&self, folder: &Path) -> Vec<String> {
        let mut lacks = Vec::new();
        if !folder.join(PLAN).is_file() {
            lacks.push(format!("{PLAN} is missing"));
        }
        let lines = count_lines(&folder.join(TIMELINE));
        if lines != self.timeline {
            let wrote = self.timeline;
            lacks.push(format!(
                "{TIMELINE} has {lines} lines, the run wrote {wrote}"
            ));
        }
        for (name, bytes) in &self.files {
            match std::fs::metadata(folder.join(name)) {
                Ok(found) if found.len() >= *bytes => {}
                Ok(found) => lacks.push(format!(
                    "{name} has {} bytes, the run left {bytes}",
                    found.len()
                )),
                Err(_) => lacks.push(format!("{name} is missing")),
            }
        }
        lacks
    }

    /// What differs between what was counted and what was found, by file.
    pub(crate) fn differences<T: PartialEq + std::fmt::Debug>(
        folder: &str,
        wrote: &BTreeMap<String, T>,
        found: &BTreeMap<String, T>,
    ) -> Vec<String> {
        let mut lacks = Vec::new();
        for (name, wrote) in wrote {
            match found.get(name) {
                None => lacks.push(format!("{folder}/{name} is missing")),
                Some(found) if found != wrote => lacks.push(format!(
                    "{folder}/{name} holds {found:?}, the run wrote {wrote:?}"
                )),
                Some(_) => {}
            }
        }
        let strange = found.keys().filter(|name| !wrote.contains_key(*name));
        lacks.extend(strange.map(|name| format!("{folder}/{name} is not of this run")));
        lacks
    }
}

fn count_lines(path: &Path) -> u64 {
    File::open(path).map_or(0, |file| BufReader::new(file).lines().count() as u64)
}

/// The name of a file in its folder.
pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The files of a folder with lines of JSON.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "ndjson"));
    paths.sort();
    Ok(paths)
}

pub(crate) fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::harness(format!("read {}", path.display()), error)
}
