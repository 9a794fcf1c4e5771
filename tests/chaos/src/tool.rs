//! What not every machine has, and whether this one does. It is tried, not looked up: a program may be
//! there and the kernel refuse what it asks for.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::failure::Failure;
use crate::network;
use crate::program;

/// Programs, and parts of the kernel.
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
    /// A processor controller of cgroup v1.
    ProcessorGroup,
}

/// Where Debian and others put libfaketime.
const FAKETIME_LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Tried once, before any node runs: what it leaves in the kernel's table of connections would keep
/// their packets from the relay.
static NFT: LazyLock<Result<(), Failure>> =
    LazyLock::new(|| there(&["nft"]).and_then(|()| allowed("nft", network::probe())));

/// The memory controller.
pub(crate) const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";

/// The controller of processor time.
pub(crate) const PROCESSOR_GROUPS: &str = "/sys/fs/cgroup/cpu";

/// Injects as the scenarios do, into a program that has nothing to inject into.
const TRACED: &str = "strace -f -qq --seccomp-bpf -o /dev/null -e trace=fsync \
                      -e inject=fsync:error=EIO:when=1 -- true";

impl Tool {
    /// Whether it is there; if not, why.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(self) -> Result<(), Failure> {
        match self {
            Self::Nft => NFT.clone(),
            Self::Strace => {
                there(&["strace"])?;
                allowed("strace", program::line(TRACED).map(drop))
            }
            Self::Tmpfs => there(&["mount", "fallocate", "df"]),
            Self::Freeze => there(&["losetup", "mkfs.ext4", "fsfreeze"]),
            Self::Faketime => match faketime_library() {
                Some(_) => Ok(()),
                None => Err(Failure::Skipped("libfaketime is not installed".to_owned())),
            },
            Self::MemoryGroup => controlled(MEMORY_GROUPS, "memory.limit_in_bytes"),
            Self::ProcessorGroup => controlled(PROCESSOR_GROUPS, "cgroup.procs"),
        }
    }
}

/// The library that fakes clocks.
pub(crate) fn faketime_library() -> Option<&'static str> {
    let mut there = FAKETIME_LIBRARIES.iter();
    there.find(|path| Path::new(path).exists()).copied()
}

/// What this machine refuses is skipped: it says nothing of the cluster.
///
/// # Errors
/// That it was refused.
pub(crate) fn allowed<T>(what: &str, tried: Result<T, Failure>) -> Result<T, Failure> {
    tried.map_err(|failure| Failure::Skipped(format!("{what} is refused here: {failure}")))
}

fn controlled(folder: &str, file: &str) -> Result<(), Failure> {
    match Path::new(folder).join(file).exists() {
        true => Ok(()),
        false => Err(Failure::Skipped(format!(
            "no cgroup v1 controller at {folder}"
        ))),
    }
}

fn there(programs: &[&str]) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_there = |program: &&&str| folders.iter().any(|folder| folder.join(program).is_file());
    match programs.iter().find(|program| !is_there(program)) {
        None => Ok(()),
        Some(gone) => Err(Failure::Skipped(format!("{gone} is not installed"))),
    }
}

/// Runs a program, or says that this machine does not have it or let it.
///
/// # Errors
/// That it was refused.
pub(crate) fn try_out(what: &str, command: &mut Command) -> Result<String, Failure> {
    allowed(what, program::output(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_refused_is_skipped_with_the_reason() {
        let gone = there(&["sh", "no-such-program"]).unwrap_err().to_string();
        assert_eq!(gone, "skipped: no-such-program is not installed");
        there(&["sh"]).unwrap();
        let refused = try_out("false", &mut Command::new("false"));
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.starts_with("skipped: false is refused here: cannot run"),
            "{refused}"
        );
        assert!(refused.contains("exit status: 1"), "{refused}");
    }
}
