//! Commits per second and bytes per commit, beside appends with `fdatasync` on the same disk.
//!
//! `cargo run --release -p coracle-log --example commits -- FOLDER`

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_driver::{Disk, File, Floor, Log, Write, WriteKind};
use coracle_log::{Options, RealDisk, Store};
use coracle_proto::{Configuration, Entry, EntryKind, GroupId, LogId, NodeId};

const SECONDS: u64 = 2;
const PAYLOAD_BYTES: usize = 256;

/// A real disk that counts.
#[derive(Debug)]
struct Counted {
    disk: RealDisk,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    syncs: AtomicU64,
}

#[derive(Debug)]
struct CountedFile(Box<dyn File>, Arc<Counts>);

impl Disk for Counted {
    fn open(&self, path: &Path, create: bool) -> std::io::Result<Box<dyn File>> {
        let file = self.disk.open(path, create)?;
        Ok(Box::new(CountedFile(file, self.counts.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }
    fn free_bytes(&self) -> std::io::Result<Option<u64>> {
        self.disk.free_bytes()
    }
}

impl File for CountedFile {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.1.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.0.write_at(offset, data)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("usage: commits FOLDER")?;
    println!("groups  entries  payload   raw/s  commits/s  ratio  written/commit  syncs/commit");
    for (groups, entries) in [(1, 1), (1, 10), (1, 100), (64, 1), (64, 16)] {
        let folder = tempfile::tempdir_in(&root)?;
        let disk = RealDisk::open(folder.path())?;
        let raw = appends(&disk, groups as usize * entries as usize * PAYLOAD_BYTES)?;
        let counts = Arc::new(Counts::default());
        let disk = Counted {
            disk,
            counts: counts.clone(),
        };
        let (commits, per) = measure(disk, &counts, groups, entries)?;
        let payload = groups * entries * PAYLOAD_BYTES as u64;
        println!(
            "{groups:6}  {entries:7}  {payload:7}  {raw:6.0}  {commits:9.0}  {:5.2}  {:14.0}  {:12.3}",
            commits / raw,
            per.0,
            per.1
        );
    }
    Ok(())
}

fn appends(disk: &RealDisk, bytes: usize) -> std::io::Result<f64> {
    let file = disk.open(Path::new("raw"), true)?;
    let data = vec![7; bytes];
    per_second(|at| {
        file.write_at(at * bytes as u64, &data)?;
        file.sync()
    })
}

fn measure(
    disk: Counted,
    counts: &Counts,
    groups: u64,
    entries: u64,
) -> Result<(f64, (f64, f64)), Box<dyn Error>> {
    let options = Options {
        node: NodeId(1),
        ballast_bytes: 0,
        ..Options::default()
    };
    let (mut store, _reader, _) = Store::open(Arc::new(disk), options)?;
    let hosts: Vec<_> = (0..groups).map(host).collect();
    store.commit(&hosts)?;
    counts.bytes.store(0, Ordering::Relaxed);
    counts.syncs.store(0, Ordering::Relaxed);
    let mut commits = 0;
    let rate = per_second(|at| {
        commits = at + 1;
        let mut writes: Vec<_> = (0..groups)
            .map(|group| append(group, at * entries, entries))
            .collect();
        if at % 64 == 63 {
            writes.extend((0..groups).map(|group| compact(group, at * entries)));
        }
        store.commit(&writes).map_err(std::io::Error::other)
    })?;
    let per = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / commits as f64;
    Ok((rate, (per(&counts.bytes), per(&counts.syncs))))
}

fn per_second(mut work: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<f64> {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < Duration::from_secs(SECONDS) {
        work(done)?;
        done += 1;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

fn write(group: u64, kind: WriteKind) -> Write {
    Write {
        group: GroupId(group),
        id: None,
        kind,
    }
}

fn floor(index: u64) -> Floor {
    Floor {
        last: LogId { term: 1, index },
        configuration: Configuration::initial([NodeId(1), NodeId(2), NodeId(3)]),
        snapshot: None,
    }
}

fn host(group: u64) -> Write {
    let floor = floor(0);
    write(group, WriteKind::Host { floor, born: 0 })
}

fn compact(group: u64, index: u64) -> Write {
    let floor = floor(index);
    write(group, WriteKind::Compact { floor })
}

fn append(group: u64, last: u64, count: u64) -> Write {
    let payload = Bytes::from_static(&[5; PAYLOAD_BYTES]);
    let entries = (last + 1..=last + count).map(|index| Entry {
        term: 1,
        index,
        kind: EntryKind::Normal,
        payload: payload.clone(),
    });
    write(
        group,
        WriteKind::Append {
            hard_state: None,
            entries: entries.collect(),
        },
    )
}
