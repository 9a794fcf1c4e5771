//! The writer's side.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use coracle_driver::{Disk, Floor, Log, LogError, Recovered, Write, WriteKind};
use coracle_proto::{GroupId, HardState, Index, NodeId};

use crate::anchor::{Anchor, Synced};
use crate::batch::{Batch, Commit};
use crate::collector::{Collector, Plan};
use crate::errors::{again, io_error, lost, refused};
use crate::identity::Identity;
use crate::index::LogIndex;
use crate::options::Options;
use crate::reader::{Reader, Shared, read, wanted};
use crate::recovered::recovered;
use crate::replay::replay;
use crate::row::{row_count, rows};
use crate::space::Space;
use crate::table::{Change, Table};

const FOLDER: &str = "log";
const LOG: &str = "log/log.redb";
const LOG_TEMPORARY: &str = "log/log.redb.tmp";
const ANCHOR: &str = "log/anchor";
const ANCHOR_TEMPORARY: &str = "log/anchor.tmp";
const BALLAST: &str = "log/ballast";

/// The durable log of a node: all its groups, one owner, one thread.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    anchor: Anchor,
    collector: Collector,
    /// Key of the next row.
    next: u64,
    /// The last commit, if it is newer than the anchor, and how many there were since.
    unanchored: Option<Synced>,
    unanchored_commits: u64,
    anchor_commits: u64,
    /// Hints that wait for a commit to ride on; at most one per group.
    hints: BTreeMap<GroupId, Index>,
    /// The error after which nothing may be written any more.
    stopped: Option<LogError>,
    loss: Option<String>,
}

/// A replica to be put in the place of what is here; its entries are appended afterwards. Only
/// recovery by hand does that: a running node never gives up what it has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The replica: index of the configuration entry that added it.
    pub born: Index,
    /// Its term and vote.
    pub hard_state: HardState,
    /// Where its log begins; the snapshot it names must be here already.
    pub floor: Floor,
}

impl Store {
    /// Opens the log in the disk's folder, or creates it. Verifies every row.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Self, Reader, Recovered), LogError> {
        let space = Space::new(
            disk.clone(),
            BALLAST.into(),
            options.ballast_bytes,
            options.low_water_bytes,
        );
        space.drop_ballast()?;
        prepare(&*disk, &options)?;
        let table = Table::open(
            &*disk,
            Path::new(LOG),
            options.cache_bytes,
            options.two_phase,
        )?;
        let (mut anchor, unwitnessed) = open_anchor(&*disk, &table, &options)?;
        let index = LogIndex::new(options.recent_bytes);
        let collector = Collector::new(options.garbage_bytes);
        let accept = options.accept_loss;
        let replayed = replay(&table.view()?, anchor.claim(), index, collector, accept)?;
        // If the last run ended in an error of the disk, what was read just now may be in memory
        // only. Should it get lost after all, this makes it known.
        anchor.renew(replayed.last)?;
        space.take_ballast()?;
        let recovered = recovered(&table.view()?, &replayed.index)?;
        let shared = Arc::new(Shared {
            table,
            index: RwLock::new(replayed.index),
            space,
        });
        let store = Self {
            shared: shared.clone(),
            anchor,
            collector: replayed.collector,
            next: replayed.next,
            unanchored: None,
            unanchored_commits: 0,
            anchor_commits: options.anchor_commits.max(1),
            hints: BTreeMap::new(),
            stopped: None,
            loss: unwitnessed.or(replayed.loss),
        };
        Ok((store, Reader(shared), recovered))
    }

    /// Whether a log was created in this folder, sound or not.
    pub fn has_state(disk: &dyn Disk) -> io::Result<bool> {
        let files = disk.list(Path::new(FOLDER))?;
        Ok([LOG, ANCHOR].into_iter().any(|file| holds(&files, file)))
    }

    /// The node that the log in this folder belongs to.
    pub fn owner(disk: &dyn Disk) -> Result<NodeId, LogError> {
        let table = Table::open(disk, Path::new(LOG), 0, false)?;
        let owner = table.identity()?.node;
        table.close()?;
        Ok(owner)
    }

    /// What the anchor knows of and the log does not, if [`Options::accept_loss`] was set.
    pub fn loss(&self) -> Option<&str> {
        self.loss.as_deref()
    }

    /// Puts a replica in the place of what is here, durably. The tombstone of an older one goes.
    pub fn replace(&mut self, group: GroupId, replacement: &Replacement) -> Result<(), LogError> {
        self.guarded(|store| {
            let commit = {
                let index = store.shared.index();
                let mut batch = Batch::new(&index, store.next);
                batch.replace(group, replacement)?;
                batch.finish()
            };
            store.write_rows(&commit, &Plan::default())?;
            store.take_over(commit)
        })
    }

    /// Whether free room is below the low-water mark: new proposals should be refused, votes not.
    pub fn low_on_space(&self) -> bool {
        self.shared.space.low()
    }

    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if let Some(error) = &self.stopped {
            return Err(again(error));
        }
        let result = work(self);
        if let Err(error) = &result {
            self.stopped = Some(again(error));
        }
        result
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), LogError> {
        if self.only_hints(writes) {
            return Ok(());
        }
        let (commit, plan) = self.stage(writes)?;
        if commit.stream.is_empty() {
            return Ok(());
        }
        self.shared.space.drop_ballast()?;
        self.write_rows(&commit, &plan)?;
        self.take_over(commit)
    }

    /// Keeps applied hints for the next commit: losing one costs nothing but time.
    fn only_hints(&mut self, writes: &[Write]) -> bool {
        let mut only = true;
        for write in writes {
            match write.kind {
                WriteKind::Applied { index } => {
                    self.hints.insert(write.group, index);
                }
                _ => only = false,
            }
        }
        only
    }

    fn stage(&mut self, writes: &[Write]) -> Result<(Commit, Plan), LogError> {
        let index = self.shared.index();
        let plan = self.collector.plan(&index, self.anchor.synced().commit);
        let mut batch = Batch::new(&index, self.next);
        for group in &plan.rebase {
            let entries = match index.replicas.get(group) {
                Some(replica) => {
                    let all = wanted(replica, *group, replica.first(), Index::MAX, usize::MAX);
                    read(Some(&self.shared.table.view()?), all)?
                }
                None => Vec::new(),
            };
            batch.rebase(*group, entries)?;
        }
        for (group, index) in &self.hints {
            batch.applied(*group, *index)?;
        }
        writes.iter().try_for_each(|write| batch.push(write))?;
        Ok((batch.finish(), plan))
    }

    fn write_rows(&mut self, commit: &Commit, plan: &Plan) -> Result<(), LogError> {
        let first = match plan.delete_below {
            Some(cut) => cut,
            None => self.collector.first().unwrap_or(self.next),
        };
        self.shared.table.write(Change {
            rows: rows(self.next, first, &commit.stream),
            delete_below: plan.delete_below,
            quick_repair: plan.delete_below.is_some(),
        })?;
        if let Some(cut) = plan.delete_below {
            self.collector.deleted_below(cut);
        }
        self.collector.stored(self.next, commit.stream.len());
        Ok(())
    }

    /// The commit is durable: the anchor may name it, readers may see it.
    fn take_over(&mut self, commit: Commit) -> Result<(), LogError> {
        self.hints.clear();
        self.unanchored_commits += 1;
        let rows = row_count(commit.stream.len()) as u64;
        let synced = Synced::of(self.next, &commit.stream);
        self.unanchored = Some(synced);
        self.next += rows;
        if commit.vital || self.unanchored_commits >= self.anchor_commits {
            self.write_anchor()?;
        } else {
            self.anchor.note(synced)?;
        }
        let mut index = self
            .shared
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for (record, at) in commit.records {
            index
                .apply(record, at, true)
                .map_err(|found| refused("writing the log", found.reason))?;
        }
        Ok(())
    }

    fn write_anchor(&mut self) -> Result<(), LogError> {
        if let Some(synced) = self.unanchored.take() {
            self.anchor.write(synced)?;
        }
        self.unanchored_commits = 0;
        Ok(())
    }

    /// Writes the hints that still wait, and leaves the file so that it opens fast.
    fn finish(&mut self) -> Result<(), LogError> {
        if !self.hints.is_empty() {
            let (commit, plan) = self.stage(&[])?;
            if !commit.stream.is_empty() {
                self.write_rows(&commit, &plan)?;
                self.take_over(commit)?;
            }
        }
        self.shared.table.write(Change {
            rows: std::iter::empty(),
            delete_below: None,
            quick_repair: true,
        })?;
        self.write_anchor()?;
        self.shared.table.close()?;
        self.stopped = Some(refused("using the log", "it is closed"));
        Ok(())
    }
}

impl Drop for Store {
    /// Whoever still holds a reader must not keep the file open while another store opens it.
    fn drop(&mut self) {
        let _ = self.shared.table.close();
    }
}

impl Log for Store {
    fn commit(&mut self, writes: &[Write]) -> Result<(), LogError> {
        self.guarded(|store| store.write(writes))
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.guarded(Self::finish)
    }
}

/// Removes what a killed process left behind and creates what is missing.
fn prepare(disk: &dyn Disk, options: &Options) -> Result<(), LogError> {
    let context = "preparing the log's folder";
    if options.node.0 == 0 {
        return Err(refused(context, "node 0 is no node"));
    }
    let folder = Path::new(FOLDER);
    disk.create_dir(folder).map_err(io_error(context))?;
    disk.sync_dir(Path::new("")).map_err(io_error(context))?;
    let files = disk.list(folder).map_err(io_error(context))?;
    for stray in [LOG_TEMPORARY, ANCHOR_TEMPORARY] {
        if holds(&files, stray) {
            disk.remove(Path::new(stray)).map_err(io_error(context))?;
        }
    }
    match (holds(&files, LOG), holds(&files, ANCHOR)) {
        (true, _) => Ok(()),
        (false, true) => Err(lost(format!("there is {ANCHOR} but no {LOG}"))),
        (false, false) => {
            let identity = Identity {
                store: options.store,
                node: options.node,
            };
            Table::create(disk, Path::new(LOG), Path::new(LOG_TEMPORARY), &identity)?;
            disk.sync_dir(folder).map_err(io_error(context))
        }
    }
}

/// Opens the anchor; creates it if a kill came between the creation of the log and its own. Also
/// returns what is wrong with it, if that is put up with.
fn open_anchor(
    disk: &dyn Disk,
    table: &Table,
    options: &Options,
) -> Result<(Anchor, Option<String>), LogError> {
    let context = "opening the anchor";
    let identity = table.identity()?;
    if identity.node != options.node {
        let (owner, node) = (identity.node, options.node);
        let reason = format!("it belongs to {owner}, this is {node}");
        return Err(refused("opening the log", reason));
    }
    let folder = Path::new(FOLDER);
    let files = disk.list(folder).map_err(io_error(context))?;
    let mut loss = None;
    if !holds(&files, ANCHOR) {
        if !table.view()?.is_empty()? {
            loss = Some(format!("there is {LOG} but no {ANCHOR}"));
        }
    } else {
        match Anchor::open(disk, Path::new(ANCHOR)) {
            Ok(anchor) if anchor.identity() == identity => return Ok((anchor, None)),
            Ok(_) => loss = Some("the anchor is that of another store".to_owned()),
            Err(LogError::Damaged { reason, .. }) if options.accept_loss => loss = Some(reason),
            Err(error) => return Err(error),
        }
    }
    if let Some(reason) = loss.as_ref().filter(|_| !options.accept_loss) {
        return Err(lost(reason.clone()));
    }
    let (path, temporary) = (Path::new(ANCHOR), Path::new(ANCHOR_TEMPORARY));
    Anchor::create(disk, path, temporary, identity)?;
    disk.sync_dir(folder).map_err(io_error(context))?;
    Ok((Anchor::open(disk, path)?, loss))
}

fn holds(files: &[PathBuf], path: &str) -> bool {
    let name = Path::new(path).file_name();
    files.iter().any(|file| file.file_name() == name)
}
