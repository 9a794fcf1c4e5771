//! A disk that is only looked at: what is written over it stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_driver::{Disk, File};

/// What is kept of a file that was written to, in pieces of this size.
const PAGE_BYTES: usize = 4096;

/// A disk over another one, which is never changed. Meant for looking at the log of a crashed
/// node: opening it repairs it, and a look must not.
///
/// Only files are looked through; what is created, renamed or removed is so in memory.
#[derive(Debug, Clone)]
pub struct Overlay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    below: Arc<dyn Disk>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    /// Files that were opened for writing or created here.
    files: BTreeMap<PathBuf, Arc<Layer>>,
    /// Names below that are no more.
    gone: BTreeSet<PathBuf>,
}

/// One file: what is below, and the pages over it.
#[derive(Debug)]
struct Layer {
    below: Option<Box<dyn File>>,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    len: u64,
    /// Below this the file below still counts.
    below_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

#[derive(Debug)]
struct OverlayFile(Arc<Layer>);

impl Overlay {
    /// Looks at `below`.
    pub fn new(below: Arc<dyn Disk>) -> Self {
        Self(Arc::new(Shared {
            below,
            names: Mutex::default(),
        }))
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layer(&self, path: &Path, create: bool) -> io::Result<Arc<Layer>> {
        let mut names = self.names();
        if let Some(layer) = names.files.get(path) {
            return Ok(layer.clone());
        }
        let below = match self.0.below.open(path, false) {
            Ok(file) if !names.gone.contains(path) => Some(file),
            Ok(_) if create => None,
            Ok(_) => return Err(io::ErrorKind::NotFound.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => None,
            Err(error) => return Err(error),
        };
        let len = below.as_ref().map_or(Ok(0), |file| file.len())?;
        let layer = Arc::new(Layer {
            below,
            content: Mutex::new(Content {
                len,
                below_len: len,
                pages: BTreeMap::new(),
            }),
        });
        names.files.insert(path.to_owned(), layer.clone());
        Ok(layer)
    }
}

impl Disk for Overlay {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
        Ok(Box::new(OverlayFile(self.layer(path, create)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let layer = self.layer(from, false)?;
        let mut names = self.names();
        names.files.remove(from);
        names.gone.insert(from.to_owned());
        names.files.insert(to.to_owned(), layer);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.layer(path, false)?;
        let mut names = self.names();
        names.files.remove(path);
        names.gone.insert(path.to_owned());
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let below = self.0.below.list(path)?;
        let names = self.names();
        let here = names
            .files
            .keys()
            .filter(|file| file.parent() == Some(path));
        let mut files: BTreeSet<PathBuf> = here.cloned().collect();
        let is_gone = |file: &PathBuf| names.gone.contains(file);
        files.extend(below.into_iter().filter(|file| !is_gone(file)));
        Ok(files.into_iter().collect())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

impl OverlayFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` with what stands at `offset`; zeros beyond the end.
    fn look(&self, content: &Content, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let from_below = content.below_len.saturating_sub(offset);
        let count = out
            .len()
            .min(usize::try_from(from_below).unwrap_or(usize::MAX));
        if let Some(below) = self.0.below.as_ref().filter(|_| count > 0) {
            below.read_at(offset, &mut out[..count])?;
        }
        Ok(())
    }
}

impl File for OverlayFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let content = self.content();
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > content.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.look(&content, offset, buffer)?;
        for (page, start, range) in pieces(offset, buffer.len()) {
            if let Some(bytes) = content.pages.get(&page) {
                let len = range.len();
                buffer[range].copy_from_slice(&bytes[start..start + len]);
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        for (page, start, range) in pieces(offset, data.len()) {
            if !content.pages.contains_key(&page) {
                let mut bytes = Box::new([0; PAGE_BYTES]);
                self.look(&content, page * PAGE_BYTES as u64, bytes.as_mut_slice())?;
                content.pages.insert(page, bytes);
            }
            if let Some(bytes) = content.pages.get_mut(&page) {
                bytes[start..start + range.len()].copy_from_slice(&data[range]);
            }
        }
        content.len = content.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.content();
        content.below_len = content.below_len.min(len);
        let last = len / PAGE_BYTES as u64;
        content.pages.retain(|page, _| *page <= last);
        if let Some(bytes) = content.pages.get_mut(&last) {
            bytes[(len % PAGE_BYTES as u64) as usize..].fill(0);
        }
        content.len = len;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The pages that a range touches: which, where in it, and which part of the range that is.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let start = (at % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - start).min(len - done);
        let piece = (at / PAGE_BYTES as u64, start, done..done + count);
        done += count;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    fn below(content: &[u8]) -> Arc<dyn Disk> {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        disk.create_dir("d".as_ref()).unwrap();
        let file = disk.open("d/f".as_ref(), true).unwrap();
        file.write_at(0, content).unwrap();
        disk
    }

    fn content(disk: &dyn Disk, path: &str) -> Vec<u8> {
        let file = disk.open(path.as_ref(), false).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_seen_above_and_not_below() {
        let old: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let disk = below(&old);
        let overlay = Overlay::new(disk.clone());

        let file = overlay.open("d/f".as_ref(), false).unwrap();
        file.write_at(4090, b"twelve bytes").unwrap();
        file.write_at(20_000, b"far").unwrap();

        let mut wanted = old.clone();
        wanted[4090..4102].copy_from_slice(b"twelve bytes");
        wanted.resize(20_000, 0);
        wanted.extend_from_slice(b"far");
        assert_eq!(content(&overlay, "d/f"), wanted);
        assert_eq!(content(&*disk, "d/f"), old);
    }

    #[test]
    fn what_is_cut_off_does_not_come_back_when_the_file_grows_again() {
        let overlay = Overlay::new(below(&[7; 9000]));
        let file = overlay.open("d/f".as_ref(), false).unwrap();
        file.write_at(5000, &[8; 10]).unwrap();
        file.set_len(5005).unwrap();
        file.set_len(9000).unwrap();

        let seen = content(&overlay, "d/f");
        assert_eq!(seen[..5000], [7; 5000]);
        assert_eq!(seen[5000..5005], [8; 5]);
        assert_eq!(seen[5005..], [0; 3995]);
    }

    #[test]
    fn names_change_above_only() {
        let disk = below(b"x");
        let overlay = Overlay::new(disk.clone());
        overlay.open("d/new".as_ref(), true).unwrap();
        overlay.rename("d/f".as_ref(), "d/g".as_ref()).unwrap();
        overlay.remove("d/new".as_ref()).unwrap();

        assert_eq!(overlay.list("d".as_ref()).unwrap(), [PathBuf::from("d/g")]);
        assert!(overlay.open("d/f".as_ref(), false).is_err());
        assert_eq!(disk.list("d".as_ref()).unwrap(), [PathBuf::from("d/f")]);
    }
}
