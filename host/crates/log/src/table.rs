//! The table of rows in redb. Nothing of redb is seen outside this file and [`crate::backend`].

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use coracle_driver::{Disk, File, LogError};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use crate::backend::{Backend, DiskFailure};
use crate::errors::{contained, damaged, io_error, refused};
use crate::identity::Identity;

const ROWS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("rows");
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const IDENTITY: &str = "identity";

/// The open database.
#[derive(Debug)]
pub(crate) struct Table {
    /// `None` once closed.
    database: RwLock<Option<Database>>,
    failure: DiskFailure,
    two_phase: bool,
}

/// What one transaction does.
#[derive(Debug)]
pub(crate) struct Change<I> {
    /// Rows to add.
    pub(crate) rows: I,
    /// Rows with lower keys go.
    pub(crate) delete_below: Option<u64>,
    /// Two syncs instead of one, but the next start need not walk the whole file.
    pub(crate) quick_repair: bool,
}

/// The table as it was when the view was taken.
pub(crate) struct View<'a> {
    /// `None` only while it is dropped.
    rows: Option<ReadOnlyTable<u64, &'static [u8]>>,
    table: &'a Table,
}

impl Table {
    /// Creates the file under a temporary name and renames it: a kill while redb creates a file
    /// leaves one that can never be opened.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        temporary: &Path,
        identity: &Identity,
    ) -> Result<(), LogError> {
        let context = "creating the log";
        let file = disk.open(temporary, true).map_err(io_error(context))?;
        let file: Arc<dyn File> = Arc::from(file);
        let table = Self::start(file.clone(), MIN_CACHE_BYTES, true)?;
        table.write_identity(identity)?;
        table.close()?;
        file.sync().map_err(io_error(context))?;
        disk.rename(temporary, path).map_err(io_error(context))
    }

    /// Opens an existing file and makes sure that what is read from it is durable.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        cache_bytes: usize,
        two_phase: bool,
    ) -> Result<Self, LogError> {
        let context = "opening the log";
        let file = disk.open(path, false).map_err(io_error(context))?;
        let file: Arc<dyn File> = Arc::from(file);
        if file.is_empty().map_err(io_error(context))? {
            return Err(damaged("the log file is empty"));
        }
        let table = Self::start(file.clone(), cache_bytes.max(MIN_CACHE_BYTES), two_phase)?;
        // A process killed between write and sync leaves rows in the page cache only. The vote
        // in them must not be acted on before it is on the disk.
        file.sync().map_err(io_error(context))?;
        Ok(table)
    }

    fn start(file: Arc<dyn File>, cache_bytes: usize, two_phase: bool) -> Result<Self, LogError> {
        let context = "opening the log";
        let failure = DiskFailure::default();
        let backend = Backend::new(file, failure.clone());
        let database = contained(context, || {
            Database::builder()
                .set_cache_size(cache_bytes)
                .create_with_backend(backend)
                .map_err(|error| classify(&failure, context, error))
        })
        .map_err(|error| failure.or(context, || error))?;
        Ok(Self {
            database: RwLock::new(Some(database)),
            failure,
            two_phase,
        })
    }

    fn write_identity(&self, identity: &Identity) -> Result<(), LogError> {
        let context = "creating the log";
        self.transaction(context, true, |transaction| {
            let mut meta = transaction
                .open_table(META)
                .map_err(|error| self.failed(context, error))?;
            meta.insert(IDENTITY, identity.encode().as_slice())
                .map_err(|error| self.failed(context, error))?;
            transaction
                .open_table(ROWS)
                .map_err(|error| self.failed(context, error))?;
            Ok(())
        })
    }

    pub(crate) fn identity(&self) -> Result<Identity, LogError> {
        let context = "reading the log's identity";
        contained(context, || {
            self.with_database(|database| {
                let transaction = database
                    .begin_read()
                    .map_err(|error| self.failed(context, error))?;
                let meta = transaction
                    .open_table(META)
                    .map_err(|error| self.failed(context, error))?;
                let value = meta
                    .get(IDENTITY)
                    .map_err(|error| self.failed(context, error))?
                    .ok_or_else(|| damaged("the log has no identity"))?;
                Identity::decode(value.value())
                    .map_err(|error| damaged(format!("the log's identity: {}", error.0)))
            })
        })
    }

    /// One transaction, durable when this returns.
    pub(crate) fn write(
        &self,
        change: Change<impl Iterator<Item = (u64, Vec<u8>)>>,
    ) -> Result<(), LogError> {
        let context = "writing the log";
        self.transaction(context, change.quick_repair, |transaction| {
            let mut rows = transaction
                .open_table(ROWS)
                .map_err(|error| self.failed(context, error))?;
            if let Some(cut) = change.delete_below {
                rows.retain_in(..cut, |_, _| false)
                    .map_err(|error| self.failed(context, error))?;
            }
            for (key, value) in change.rows {
                rows.insert(key, value.as_slice())
                    .map_err(|error| self.failed(context, error))?;
            }
            Ok(())
        })
    }

    fn transaction(
        &self,
        context: &str,
        quick_repair: bool,
        work: impl FnOnce(&WriteTransaction) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        contained(context, || {
            self.with_database(|database| {
                let mut transaction = database
                    .begin_write()
                    .map_err(|error| self.failed(context, error))?;
                transaction
                    .set_durability(Durability::Immediate)
                    .map_err(|error| self.failed(context, error))?;
                transaction.set_two_phase_commit(self.two_phase);
                transaction.set_quick_repair(quick_repair);
                work(&transaction)?;
                transaction
                    .commit()
                    .map_err(|error| self.failed(context, error))
            })
        })
        .map_err(|error| self.failure.or(context, || error))
    }

    /// The table as of the last transaction. Short-lived: it keeps pages from being reused.
    pub(crate) fn view(&self) -> Result<View<'_>, LogError> {
        let context = "reading the log";
        contained(context, || {
            self.with_database(|database| {
                let transaction = database
                    .begin_read()
                    .map_err(|error| self.failed(context, error))?;
                let rows = transaction
                    .open_table(ROWS)
                    .map_err(|error| self.failed(context, error))?;
                Ok(View {
                    rows: Some(rows),
                    table: self,
                })
            })
        })
    }

    /// Lets go of the file; nothing can be read or written any more.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        let context = "closing the log";
        let database = {
            let mut database = self
                .database
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            database.take()
        };
        contained(context, || match database {
            Some(database) => database
                .close()
                .map_err(|error| self.failed(context, error)),
            None => Ok(()),
        })
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        match database.as_ref() {
            Some(database) => work(database),
            None => Err(refused("using the log", "it is closed")),
        }
    }

    fn failed(&self, context: &str, error: impl Into<redb::Error>) -> LogError {
        classify(&self.failure, context, error)
    }
}

impl Drop for Table {
    /// redb writes when it lets go of a file, and on a damaged one it may panic.
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Drop for View<'_> {
    /// As for a table: what redb does at the end of a transaction must not reach the caller.
    fn drop(&mut self) {
        let rows = self.rows.take();
        let _ = contained("ending a look at the log", || {
            drop(rows);
            Ok(())
        });
    }
}

impl View<'_> {
    fn rows(&self) -> Result<&ReadOnlyTable<u64, &'static [u8]>, LogError> {
        let rows = self.rows.as_ref();
        rows.ok_or_else(|| refused("reading the log", "the view has ended"))
    }

    pub(crate) fn is_empty(&self) -> Result<bool, LogError> {
        let context = "reading the log";
        contained(context, || {
            self.rows()?
                .is_empty()
                .map_err(|error| self.table.failed(context, error))
        })
    }

    /// Gives a row's value to `work`; `None` if there is no such row.
    pub(crate) fn row<T>(
        &self,
        key: u64,
        work: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, LogError> {
        let context = "reading the log";
        contained(context, || {
            let value = self
                .rows()?
                .get(key)
                .map_err(|error| self.table.failed(context, error))?;
            Ok(value.map(|value| work(value.value())))
        })
    }

    /// Gives every row to `work`, in the order of their keys.
    pub(crate) fn each(
        &self,
        mut work: impl FnMut(u64, &[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let context = "reading the log";
        contained(context, || {
            let rows = self
                .rows()?
                .iter()
                .map_err(|error| self.table.failed(context, error))?;
            for row in rows {
                let (key, value) = row.map_err(|error| self.table.failed(context, error))?;
                work(key.value(), value.value())?;
            }
            Ok(())
        })
    }
}

/// Least that redb is given to work with.
const MIN_CACHE_BYTES: usize = 1024 * 1024;

/// The disk's own error if there was one; otherwise what redb could not make sense of is damage.
fn classify(failure: &DiskFailure, context: &str, error: impl Into<redb::Error>) -> LogError {
    let error = error.into();
    failure.or(context, || match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::ValueTooLarge(_) => {
            refused(context, error.to_string())
        }
        error => damaged(format!("{context}: {error}")),
    })
}
