//! Runs the tools of the system: one place for their errors.

use std::process::{Command, Stdio};

use crate::failure::Failure;

/// Programs that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `nft`: partitions.
    Nft,
    /// `strace`: crashes at a system call.
    Strace,
    /// `faketime`'s library: clocks.
    Faketime,
    /// `mount -t tmpfs`: small disks.
    Tmpfs,
    /// `losetup`, `mkfs.ext4`, `fsfreeze`: disks that stand still.
    Freeze,
    /// A memory controller of cgroup v1.
    MemoryGroup,
}

/// Lines of a program's stderr that are kept when it fails.
const REASON_LINES: usize = 3;

/// Where Debian and others put libfaketime.
const FAKETIME_LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The memory controller.
pub(crate) const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";

impl Tool {
    /// Whether it is there; if not, why.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(self) -> Result<(), Failure> {
        let missing = match self {
            Self::Nft => missing(&["nft"]),
            Self::Strace => missing(&["strace"]),
            Self::Tmpfs => missing(&["mount"]),
            Self::Freeze => missing(&["losetup", "mkfs.ext4", "fsfreeze"]),
            Self::Faketime => faketime_library()
                .is_none()
                .then(|| "libfaketime is not installed".to_owned()),
            Self::MemoryGroup => (!std::path::Path::new(MEMORY_GROUPS)
                .join("memory.limit_in_bytes")
                .exists())
            .then(|| format!("no cgroup v1 memory controller at {MEMORY_GROUPS}")),
        };
        missing.map_or(Ok(()), |why| Err(Failure::Skipped(why)))
    }
}

/// The library that fakes clocks.
pub(crate) fn faketime_library() -> Option<&'static str> {
    let mut there = FAKETIME_LIBRARIES.iter();
    there
        .find(|path| std::path::Path::new(path).exists())
        .copied()
}

fn missing(programs: &[&str]) -> Option<String> {
    let gone = programs.iter().find(|program| !is_there(program))?;
    Some(format!("{gone} is not installed"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Tools for administrators are not always on the path.
    let more = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path)
        .chain(more)
        .any(|folder| folder.join(program).is_file())
}

/// Runs it to its end; answers what it printed.
///
/// # Errors
/// If it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = format!("{command:?}");
    let run = command.stdin(Stdio::null()).output();
    let output = run.map_err(|error| Failure::harness(format!("run {shown}"), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // The reason comes last; before it may be pages of progress.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut last: Vec<&str> = stderr.lines().rev().take(REASON_LINES).collect();
    last.reverse();
    Err(Failure::harness(
        format!("run {shown}"),
        format!("{}: {}", output.status, last.join("; ")),
    ))
}

/// Runs a line of words without spaces in them.
pub(crate) fn line(text: &str) -> Result<String, Failure> {
    let mut words = text.split_whitespace();
    let program = words.next().unwrap_or("true");
    output(Command::new(program).args(words))
}
