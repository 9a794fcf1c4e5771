//! A log and snapshot files in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use coracle_proto::{Entry, GroupId, Index, LogId};
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, LogError, LogReader, Section, SnapshotError, SnapshotReader, SnapshotReceiver,
    SnapshotRef, SnapshotWriter, Snapshots,
};

/// The log of one group.
#[derive(Debug, Default)]
pub(super) struct MemoryLog {
    entries: Mutex<BTreeMap<Index, Entry>>,
}

impl MemoryLog {
    pub(super) fn append(&self, entry: Entry) {
        self.entries.lock().unwrap().insert(entry.index, entry);
    }

    pub(super) fn compact(&self, through: Index) {
        self.entries
            .lock()
            .unwrap()
            .retain(|index, _| *index > through);
    }

    pub(super) fn last(&self) -> Index {
        let entries = self.entries.lock().unwrap();
        entries.last_key_value().map_or(0, |(index, _)| *index)
    }
}

impl LogReader for MemoryLog {
    fn entries(
        &self,
        group: GroupId,
        from: Index,
        through: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let entries = self.entries.lock().unwrap();
        if !entries.contains_key(&from) {
            return Err(LogError::Compacted { group, index: from });
        }
        let mut bytes = 0;
        let mut found = Vec::new();
        for (_, entry) in entries.range(from..=through) {
            bytes += entry.payload.len();
            if !found.is_empty() && bytes > max_bytes {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }
}

#[derive(Debug, Clone, Default)]
struct File {
    header: Vec<u8>,
    sections: BTreeMap<u8, Vec<u8>>,
}

type Files = Arc<Mutex<BTreeMap<LogId, File>>>;

/// The snapshot files of one group.
#[derive(Debug, Default)]
pub(super) struct MemorySnapshots {
    files: Files,
    /// Files that are images as well, by digest.
    images: Mutex<BTreeMap<Digest, LogId>>,
    full: AtomicBool,
    full_at: Arc<Mutex<Option<Stage>>>,
}

/// How far a file gets before there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    State,
    End,
}

impl MemorySnapshots {
    /// How far the next files get, if not to their end.
    pub(super) fn set_full_at(&self, stage: Option<Stage>) {
        *self.full_at.lock().unwrap() = stage;
    }

    /// Whether there is room for no further file.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Makes an image of a file that is here.
    pub(super) fn add_image(&self, snapshot: &SnapshotRef) {
        let mut images = self.images.lock().unwrap();
        images.insert(snapshot.digest, snapshot.last);
    }

    pub(super) fn remove_all(&self) {
        self.files.lock().unwrap().clear();
    }

    pub(super) fn copy_to(&self, other: &Self) {
        *other.files.lock().unwrap() = self.files.lock().unwrap().clone();
    }

    /// Changes a section of every file.
    pub(super) fn damage(&self, section: Section) {
        for file in self.files.lock().unwrap().values_mut() {
            let bytes = file.sections.entry(section as u8).or_default();
            bytes.insert(0, u8::MAX);
        }
    }

    /// As at the beginning of the next upload.
    pub(super) fn remove_images(&self) {
        self.images.lock().unwrap().clear();
    }
}

impl File {
    fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(&self.header);
        self.sections
            .values()
            .for_each(|bytes| hasher.update(bytes));
        Digest(hasher.finalize().into())
    }
}

#[derive(Debug)]
struct Writer {
    files: Files,
    full_at: Arc<Mutex<Option<Stage>>>,
    last: LogId,
    file: File,
}

impl Writer {
    fn room(&self, stage: Stage) -> Result<(), SnapshotError> {
        match *self.full_at.lock().unwrap() == Some(stage) {
            true => Err(no_room()),
            false => Ok(()),
        }
    }
}

impl SnapshotWriter for Writer {
    fn write(&mut self, section: Section, bytes: &[u8]) -> Result<(), SnapshotError> {
        if section == Section::State {
            self.room(Stage::State)?;
        }
        let section = self.file.sections.entry(section as u8).or_default();
        section.extend(bytes);
        Ok(())
    }

    fn state_digest(&self) -> Digest {
        let state = self.file.sections.get(&(Section::State as u8));
        Digest(Sha256::digest(state.map_or(&[][..], |state| state)).into())
    }

    fn finish(self: Box<Self>) -> Result<Digest, SnapshotError> {
        self.room(Stage::End)?;
        let digest = self.file.digest();
        self.files.lock().unwrap().insert(self.last, self.file);
        Ok(digest)
    }
}

#[derive(Debug)]
struct Reader {
    file: File,
    at: BTreeMap<u8, usize>,
}

impl SnapshotReader for Reader {
    fn header(&self) -> &[u8] {
        &self.file.header
    }

    fn read(&mut self, section: Section, max: usize) -> Result<Vec<u8>, SnapshotError> {
        // Odd sizes, so that records are cut in two.
        let max = max.min(7);
        let all = self.file.sections.get(&(section as u8));
        let all = all.map_or(&[][..], |bytes| bytes);
        let at = self.at.entry(section as u8).or_default();
        let chunk = all[*at..].iter().take(max).copied().collect::<Vec<_>>();
        *at += chunk.len();
        Ok(chunk)
    }

    fn file_len(&self) -> u64 {
        0
    }

    fn read_raw(&mut self, _: u64, _: &mut [u8]) -> Result<(), SnapshotError> {
        Err(missing())
    }
}

impl Snapshots for MemorySnapshots {
    fn create(
        &self,
        _: GroupId,
        last: LogId,
        header: &[u8],
    ) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(no_room());
        }
        Ok(Box::new(Writer {
            files: Arc::clone(&self.files),
            full_at: Arc::clone(&self.full_at),
            last,
            file: File {
                header: header.to_vec(),
                ..File::default()
            },
        }))
    }

    fn open(
        &self,
        _: GroupId,
        last: LogId,
        _: &Digest,
    ) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let file = self.files.lock().unwrap().get(&last).cloned();
        let file = file.ok_or_else(missing)?;
        Ok(Box::new(Reader {
            file,
            at: BTreeMap::new(),
        }))
    }

    fn open_image(&self, digest: &Digest) -> Result<Box<dyn SnapshotReader>, SnapshotError> {
        let images = self.images.lock().unwrap();
        let last = images.get(digest).copied().ok_or_else(missing)?;
        drop(images);
        self.open(GroupId(0), last, digest)
    }

    fn receive(&self, _: GroupId) -> Result<Box<dyn SnapshotReceiver>, SnapshotError> {
        Err(missing())
    }

    fn retain(&self, _: GroupId, _: &[SnapshotRef], _: usize) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn discard(&self, _: GroupId, snapshot: &SnapshotRef) -> Result<(), SnapshotError> {
        self.files.lock().unwrap().remove(&snapshot.last);
        Ok(())
    }
}

fn no_room() -> SnapshotError {
    SnapshotError::Io {
        context: "writing in memory".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    }
}

fn missing() -> SnapshotError {
    SnapshotError::Missing {
        file: "in memory".into(),
    }
}
