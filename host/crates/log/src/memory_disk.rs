//! A simulated disk: everything that is allowed to go wrong, from a seed.
//!
//! What is written goes to a cache. A sync moves a file's cache to the platter; a power cut keeps
//! of the rest what it likes: some writes and not others, parts of a write, in any order. Names
//! are a folder's content and have a cache of their own, kept in order as journalling file
//! systems do: a power cut keeps a prefix of the unsynced changes. Folders themselves are durable
//! at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_driver::{Disk, File};

/// A power cut tears writes at this size.
const SECTOR_BYTES: usize = 512;

/// A misdirected write lands at a multiple of this.
const BLOCK_BYTES: usize = 4096;

/// What goes wrong, once, with the operation it is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes: this and everything after it fails until
    /// [`crash`](MemoryDisk::crash) or [`restart`](MemoryDisk::restart).
    Crash,
    /// The next write fails, having written nothing.
    Write,
    /// The next read fails.
    Read,
    /// The next sync of a file fails, and what was to be synced is dropped: the cache shows it
    /// still, no later sync writes it.
    Sync,
    /// The next read gives one wrong bit; what is stored is right.
    ReadFlip,
    /// The next write lands at another block of its file, and not where it should.
    Misdirect,
}

/// The disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    renames: Vec<NameChange>,
    next_file: u64,
    /// Files opened before the last crash are of an older life, and dead.
    life: u64,
    dead: bool,
    operations: u64,
    fault: Option<(u64, Fault)>,
    /// The next read of bytes gives one wrong bit.
    flip_next: bool,
    /// The next write of bytes lands elsewhere.
    misdirect_next: bool,
    misdirected: u64,
    lying: Option<PathBuf>,
    capacity: Option<u64>,
    syncs: u64,
    written_bytes: u64,
}

#[derive(Debug, Default)]
struct Content {
    /// How many hold it open.
    handles: usize,
    cache: Vec<u8>,
    platter: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

/// A name that now means this file, or none.
#[derive(Debug, Clone)]
struct NameChange {
    bindings: Vec<(PathBuf, Option<u64>)>,
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    id: u64,
    life: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
    Sync,
    Name,
}

impl MemoryDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power: open files die, and of what was not synced the seed decides what is left.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state();
        let mut random = Random(seed);
        let kept = random.below(state.renames.len() as u64 + 1) as usize;
        let changes = std::mem::take(&mut state.renames);
        for change in changes.iter().take(kept) {
            bind(&mut state.durable_names, change);
        }
        state.names = state.durable_names.clone();
        for content in state.files.values_mut() {
            content.lose_power(&mut random);
        }
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        state.revive();
    }

    /// Kills the process: open files die, the cache stays.
    pub fn restart(&self) {
        self.state().revive();
    }

    /// Sets a fault for the operation after the next `operations` ones it can happen to.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Takes back a fault that did not happen yet.
    pub fn clear_fault(&self) {
        let mut state = self.state();
        state.fault = None;
        (state.flip_next, state.misdirect_next) = (false, false);
    }

    /// An empty disk takes the place of this one; open files die.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.folders.clear();
        state.files.clear();
        state.names.clear();
        state.durable_names.clear();
        state.renames.clear();
        (state.lying, state.capacity) = (None, None);
        state.revive();
    }

    /// The files there are.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// From now on syncs of this file, or of all files in this folder, succeed without doing
    /// anything; `None`: all are honest.
    pub fn set_lying(&self, path: Option<&Path>) {
        self.state().lying = path.map(Path::to_owned);
    }

    /// Writes so far that landed elsewhere.
    pub fn misdirected_writes(&self) -> u64 {
        self.state().misdirected
    }

    /// Bytes that fit; `None`: any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Turns one bit of a file, in the cache and on the platter. `false` if it is not that long.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        let mut state = self.state();
        let Some(content) = state.content(path) else {
            return false;
        };
        let at = (bit / 8) as usize;
        let mut flipped = false;
        for bytes in [&mut content.cache, &mut content.platter] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        flipped
    }

    /// A file's bytes as a reader sees them.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.content(path).map(|content| content.cache.clone())
    }

    /// Replaces a file's bytes, durably: somebody restored an old copy.
    pub fn restore(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(content) = state.content(path) {
            content.cache = bytes.to_vec();
            content.platter = bytes.to_vec();
            content.unsynced.clear();
        }
    }

    /// Operations so far; what [`fail_after`](Self::fail_after) counts.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.state().written_bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn revive(&mut self) {
        self.life += 1;
        self.dead = false;
        self.fault = None;
        (self.flip_next, self.misdirect_next) = (false, false);
    }

    fn lies_to(&self, file: u64) -> bool {
        let lying = self.lying.iter();
        let mut names =
            lying.flat_map(|path| self.names.iter().filter(move |it| it.0.starts_with(path)));
        names.any(|(_, id)| *id == file)
    }

    /// Where a write of these bytes really goes, in a file of this length.
    fn aim(&mut self, at: usize, mut data: Vec<u8>, len: usize) -> Change {
        let blocks = (len / BLOCK_BYTES) as u64;
        if blocks < 2 || !std::mem::take(&mut self.misdirect_next) {
            return Change::Write(at, data);
        }
        self.misdirected += 1;
        let own = (at / BLOCK_BYTES) as u64;
        let block = match Random(self.operations).below(blocks) {
            block if block == own => (block + 1) % blocks,
            block => block,
        };
        let elsewhere = block as usize * BLOCK_BYTES;
        data.truncate(len - elsewhere);
        Change::Write(elsewhere, data)
    }

    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        let id = self.names.get(path)?;
        self.files.get_mut(id)
    }

    /// Counts an operation and lets the fault happen if its time has come.
    fn begin(&mut self, operation: Operation) -> io::Result<()> {
        if self.dead {
            return Err(no_power());
        }
        self.operations += 1;
        let Some((at, fault)) = self.fault else {
            return Ok(());
        };
        let hit = match fault {
            Fault::Crash => true,
            Fault::Write | Fault::Misdirect => operation == Operation::Write,
            Fault::Read | Fault::ReadFlip => operation == Operation::Read,
            Fault::Sync => operation == Operation::Sync,
        };
        if self.operations <= at || !hit {
            return Ok(());
        }
        self.fault = None;
        match fault {
            Fault::ReadFlip => self.flip_next = true,
            Fault::Misdirect => self.misdirect_next = true,
            _ => {
                self.dead = fault == Fault::Crash;
                return Err(io::Error::other(format!("simulated fault: {fault:?}")));
            }
        }
        Ok(())
    }

    fn change_names(&mut self, bindings: Vec<(PathBuf, Option<u64>)>) {
        let change = NameChange { bindings };
        bind(&mut self.names, &change);
        self.renames.push(change);
    }

    /// Forgets files that have no name, not even after a power cut, and that nobody holds open.
    fn forget_unnamed(&mut self) {
        let renamed = self.renames.iter().flat_map(|change| &change.bindings);
        let renamed = renamed.filter_map(|(_, file)| *file);
        let named = self.names.values().chain(self.durable_names.values());
        let named: BTreeSet<u64> = named.copied().chain(renamed).collect();
        self.files
            .retain(|id, content| content.handles > 0 || named.contains(id));
    }

    fn used_bytes(&self) -> u64 {
        let named = self.names.values().filter_map(|id| self.files.get(id));
        named.map(|content| content.cache.len() as u64).sum()
    }

    fn reserve(&self, bytes: usize) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used_bytes() + bytes as u64 > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        apply(&mut self.cache, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.platter, &change);
        }
    }

    /// Keeps nothing, all, whole writes or sectors of what was not synced.
    fn lose_power(&mut self, random: &mut Random) {
        let mood = random.below(4);
        for change in std::mem::take(&mut self.unsynced) {
            match (mood, &change) {
                (0, _) => {}
                (1, _) => apply(&mut self.platter, &change),
                (3, Change::Write(at, data)) => {
                    for (sector, data) in data.chunks(SECTOR_BYTES).enumerate() {
                        if random.below(2) == 0 {
                            let at = at + sector * SECTOR_BYTES;
                            apply(&mut self.platter, &Change::Write(at, data.to_vec()));
                        }
                    }
                }
                (_, change) => {
                    if random.below(2) == 0 {
                        apply(&mut self.platter, change);
                    }
                }
            }
        }
        self.cache = self.platter.clone();
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => bytes.resize(*len, 0),
        Change::Write(at, data) => {
            let end = at + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(data);
        }
    }
}

fn bind(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    for (path, file) in &change.bindings {
        match file {
            Some(file) => names.insert(path.clone(), *file),
            None => names.remove(path),
        };
    }
}

fn no_power() -> io::Error {
    io::Error::other("the simulated disk has no power")
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{} does not exist", path.display()),
    )
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        let id = match state.names.get(path) {
            _ if state.dead => return Err(no_power()),
            Some(id) => *id,
            None if !create => return Err(missing(path)),
            None => {
                state.begin(Operation::Name)?;
                let id = state.next_file;
                state.next_file += 1;
                state.files.insert(id, Content::default());
                state.change_names(vec![(path.to_owned(), Some(id))]);
                id
            }
        };
        if let Some(content) = state.files.get_mut(&id) {
            content.handles += 1;
        }
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            id,
            life: state.life,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Operation::Name)?;
        let id = *state.names.get(from).ok_or_else(|| missing(from))?;
        state.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(id))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Operation::Name)?;
        if !state.names.contains_key(path) {
            return Err(missing(path));
        }
        state.change_names(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Operation::Name)?;
        state.folders.insert(path.to_owned());
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Operation::Sync)?;
        let changes = std::mem::take(&mut state.renames);
        for change in changes {
            let here = |(file, _): &(PathBuf, _)| file.parent() == Some(path);
            match change.bindings.iter().any(here) {
                true => bind(&mut state.durable_names, &change),
                false => state.renames.push(change),
            }
        }
        state.forget_unnamed();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.begin(Operation::Read)?;
        let files = state.names.keys();
        let here = files.filter(|file| file.parent() == Some(path));
        Ok(here.cloned().collect())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let state = self.state();
        let free = |capacity: u64| capacity.saturating_sub(state.used_bytes());
        Ok(state.capacity.map(free))
    }
}

impl MemoryFile {
    fn with<T>(
        &self,
        operation: Operation,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other(
                "the process that opened this file is dead",
            ));
        }
        let begun = state.begin(operation);
        if begun.is_err()
            && operation == Operation::Sync
            && !state.dead
            && let Some(content) = state.files.get_mut(&self.id)
        {
            content.unsynced.clear();
        }
        begun?;
        work(&mut state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(Operation::Write, |state| {
            let len = state.files.get(&self.id).map_or(0, |file| file.cache.len());
            let end = match &change {
                Change::Write(at, data) => {
                    state.written_bytes += data.len() as u64;
                    at + data.len()
                }
                Change::SetLen(len) => *len,
            };
            state.reserve(end.saturating_sub(len))?;
            let change = match change {
                Change::Write(at, data) => state.aim(at, data, len),
                change => change,
            };
            if let Some(content) = state.files.get_mut(&self.id) {
                content.change(change);
            }
            Ok(())
        })
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Some(content) = state.files.get_mut(&self.id) {
            content.handles = content.handles.saturating_sub(1);
        }
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        self.with(Operation::Read, |state| {
            let len = state.files.get(&self.id).map_or(0, |file| file.cache.len());
            Ok(len as u64)
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(Operation::Read, |state| {
            let content = state.files.get(&self.id);
            let bytes = usize::try_from(offset).ok().and_then(|start| {
                let end = start.checked_add(buffer.len())?;
                content?.cache.get(start..end)
            });
            let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            if !buffer.is_empty() && std::mem::take(&mut state.flip_next) {
                let bit = Random(state.operations).below(buffer.len() as u64 * 8);
                buffer[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(Change::Write(offset, data.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.change(Change::SetLen(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(Operation::Sync, |state| {
            state.syncs += 1;
            let lying = state.lies_to(self.id);
            if let Some(content) = state.files.get_mut(&self.id)
                && !lying
            {
                content.sync();
            }
            Ok(())
        })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
