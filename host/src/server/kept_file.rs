//! A small file of the data folder that is read at the start and replaced as a whole.

use std::io;
use std::path::Path;

use coracle_driver::Disk;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeptFileError {
    /// The disk refuses.
    #[error("cannot read {name} in the data folder: {source}")]
    Read {
        /// The file.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nothing that this node wrote.
    #[error("{name} in the data folder has {bytes} bytes, at most {MAX_FILE_BYTES} are read")]
    TooLarge {
        /// The file.
        name: &'static str,
        /// Its length.
        bytes: u64,
    },
    /// Nothing that this node wrote.
    #[error("{name} in the data folder is damaged, correct or remove it: {reason}")]
    Damaged {
        /// The file.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Its bytes; `None` only if there is no such file.
pub(super) fn read(disk: &dyn Disk, name: &'static str) -> Result<Option<Vec<u8>>, KeptFileError> {
    let failed = |source| KeptFileError::Read { name, source };
    let file = match disk.open(Path::new(name), false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let bytes = file.len().map_err(failed)?;
    let length = usize::try_from(bytes).ok();
    let length = length.filter(|_| bytes <= MAX_FILE_BYTES);
    let mut contents = vec![0; length.ok_or(KeptFileError::TooLarge { name, bytes })?];
    file.read_at(0, &mut contents).map_err(failed)?;
    Ok(Some(contents))
}

/// Puts these bytes in its place. Durable when it returns; until then it is the old file.
pub(super) fn replace(disk: &dyn Disk, name: &'static str, contents: &[u8]) -> io::Result<()> {
    let temporary = Path::new(name).with_extension("tmp");
    let file = disk.open(&temporary, true)?;
    file.set_len(0)?;
    file.write_at(0, contents)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, Path::new(name))?;
    disk.sync_dir(Path::new(""))
}

#[cfg(test)]
mod tests {
    use coracle_log::{Fault, MemoryDisk};

    use super::*;

    const NAME: &str = "a.toml";

    #[test]
    fn only_a_file_that_is_not_there_is_none() {
        let disk = MemoryDisk::new();
        assert!(read(&disk, NAME).expect("reads").is_none());
        replace(&disk, NAME, b"kept").expect("keeps");

        disk.fail_after(0, Fault::Read);
        let error = read(&disk, NAME).expect_err("the disk fails");
        assert!(matches!(error, KeptFileError::Read { .. }), "{error}");
        assert_eq!(read(&disk, NAME).expect("reads"), Some(b"kept".to_vec()));
    }

    #[test]
    fn what_was_replaced_outlives_a_power_cut() {
        for seed in 0..20 {
            let disk = MemoryDisk::new();
            replace(&disk, NAME, b"one").expect("keeps");
            replace(&disk, NAME, b"two, and longer").expect("keeps");
            replace(&disk, NAME, b"three").expect("keeps");
            disk.crash(seed);
            assert_eq!(read(&disk, NAME).expect("reads"), Some(b"three".to_vec()));
        }
    }

    #[test]
    fn a_file_of_any_length_is_not_read() {
        let disk = MemoryDisk::new();
        replace(&disk, NAME, b"").expect("keeps");
        let file = disk.open(Path::new(NAME), false).expect("opens");
        file.set_len(MAX_FILE_BYTES + 1).expect("grows");
        let error = read(&disk, NAME).expect_err("too large");
        assert!(matches!(error, KeptFileError::TooLarge { bytes, .. } if bytes > MAX_FILE_BYTES));
    }
}
