//! The operating system's disk.

use std::fs::{self, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_driver::{Disk, File};

/// Held locked while anything in the folder is in use.
const LOCK: &str = "lock";

/// A data folder. One process, and one `RealDisk` in it, at a time.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    lock: Arc<fs::File>,
}

/// An open file; it keeps the folder locked.
#[derive(Debug)]
struct RealFile {
    file: fs::File,
    _lock: Arc<fs::File>,
}

impl RealDisk {
    /// Opens the folder, creating it if need be, and locks it.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root,
                lock: Arc::new(lock),
            }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("data folder {} is in use by a running node", root.display()),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn at(&self, path: &Path) -> PathBuf {
        match path.as_os_str().is_empty() {
            true => self.root.clone(),
            false => self.root.join(path),
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(self.at(path))?;
        Ok(Box::new(RealFile {
            file,
            _lock: self.lock.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(self.at(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(self.at(path))?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.at(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(path.join(entry.file_name()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        free_bytes(&self.root).map(Some)
    }
}

/// Bytes that are free where `path` is.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// `fdatasync`: data, and the length that it takes to read it.
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
