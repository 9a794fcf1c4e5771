//! The last that is said before a panic within a panic would end the process with SIGABRT.

use std::panic;
use std::process;

use super::{Exit, Failure};

/// Makes a damaged log on which redb panics, and panics once more while that panic unwinds, an
/// end like any other: words, a remedy, exit code 1. Nothing is flushed on the way, which is how a
/// killed process ends as well.
pub(super) fn install(json: bool) {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        if coracle_log::engine_cannot_unwind() {
            engine_failed().print(json);
            process::exit(Exit::Other as i32);
        }
    }));
}

fn engine_failed() -> Failure {
    let message = "the log's engine panicked, and again while it unwound: the log is damaged";
    Failure::other(message).hint(
        "start the node again, which reads every row; if it refuses, see \"Damaged log\" in \
         docs/operating.md",
    )
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use coracle_driver::{Disk, File};
    use coracle_log::{MemoryDisk, Options, Store};
    use coracle_proto::NodeId;

    use super::*;

    /// Set in the process that is to end.
    const CHILD: &str = "CORACLE_TEST_ENGINE_PANICS";

    /// A disk whose files panic when they are written or let go of, once that is wanted.
    #[derive(Debug, Clone, Default)]
    struct Panicking {
        disk: MemoryDisk,
        armed: Arc<AtomicBool>,
    }

    #[derive(Debug)]
    struct PanickingFile {
        file: Box<dyn File>,
        armed: Arc<AtomicBool>,
    }

    impl PanickingFile {
        fn pass(&self) {
            assert!(!self.armed.load(Ordering::Relaxed), "the disk panics");
        }
    }

    impl Disk for Panicking {
        fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn File>> {
            let file = self.disk.open(path, create)?;
            let armed = Arc::clone(&self.armed);
            Ok(Box::new(PanickingFile { file, armed }))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.disk.remove(path)
        }

        fn create_dir(&self, path: &Path) -> io::Result<()> {
            self.disk.create_dir(path)
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            self.disk.sync_dir(path)
        }

        fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
            self.disk.list(path)
        }

        fn free_bytes(&self) -> io::Result<Option<u64>> {
            self.disk.free_bytes()
        }
    }

    impl File for PanickingFile {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.file.read_at(offset, buffer)
        }

        fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.pass();
            self.file.write_at(offset, data)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.pass();
            self.file.set_len(len)
        }

        fn sync(&self) -> io::Result<()> {
            self.pass();
            self.file.sync()
        }
    }

    /// Let go of while the first panic unwinds.
    impl Drop for PanickingFile {
        fn drop(&mut self) {
            self.pass();
        }
    }

    fn panic_twice() {
        let disk = Panicking::default();
        let options = Options {
            node: NodeId(1),
            ballast_bytes: 0,
            ..Options::default()
        };
        let opened = Store::open(Arc::new(disk.clone()), options).unwrap();
        install(true);
        disk.armed.store(true, Ordering::Relaxed);
        drop(opened);
    }

    #[test]
    fn an_engine_that_panics_while_it_unwinds_ends_the_process_with_words_and_exit_code_1() {
        if env::var_os(CHILD).is_some() {
            return panic_twice();
        }
        let this = "cli::panic_hook::tests::\
                    an_engine_that_panics_while_it_unwinds_ends_the_process_with_words_and_exit_code_1";

        let ended = Command::new(env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();

        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(
            said.contains(r#""message":"the log's engine panicked, and again"#),
            "{said}"
        );
        assert!(said.contains(r#""hint":"start the node again"#), "{said}");
    }
}
