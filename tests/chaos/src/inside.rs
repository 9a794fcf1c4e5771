//! The private world of a run: its own network, mounts and process ids, so that nothing is left
//! behind, however it ends.
//!
//! The program starts itself again twice. The *warden* has network and mounts of its own and waits;
//! the *inmate* below it is process 1 of its own process ids and does the work: when it ends, all
//! nodes end. Mounts, and loop devices with them, end with the warden. A file system that the inmate
//! has frozen is thawed by the warden, since a frozen one cannot be left.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::program;
use crate::tool;

/// Which of the three this process is.
const LEVEL: &str = "CORACLE_CHAOS_LEVEL";

/// Between two looks of the warden at its inmate and at what is frozen.
const WATCH: Duration = Duration::from_millis(200);

/// What this process is to do.
#[derive(Debug)]
pub enum Part {
    /// The work.
    Inmate,
    /// Nothing more: end with this code.
    Done(ExitCode),
}

/// Goes inside.
///
/// # Errors
/// `Skipped` if this machine does not let us.
pub fn enter() -> Result<Part, Failure> {
    match std::env::var(LEVEL).as_deref() {
        Ok("inmate") => Ok(Part::Inmate),
        Ok("warden") => guard().map(Part::Done),
        _ => Err(begin()),
    }
}

/// Becomes the warden; answers only if that fails.
fn begin() -> Failure {
    let probe = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    match probe {
        Ok(status) if status.success() => {}
        Ok(_) => return Failure::Skipped("unshare is not allowed here: be root".to_owned()),
        Err(error) => return Failure::Skipped(format!("no unshare: {error}")),
    }
    let error = unshare(&["--net", "--mount", "--propagation", "private"], "warden").exec();
    Failure::harness("run unshare", error)
}

fn unshare(how: &[&str], level: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(how).arg("--");
    command.arg(std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()));
    command.args(std::env::args_os().skip(1));
    command.env(LEVEL, level).env("PATH", path());
    command
}

/// Where programs are; tools for administrators are not on everybody's path.
fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for more in ["/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !folders.contains(&more) {
            folders.push(more);
        }
    }
    std::env::join_paths(folders).unwrap_or(path)
}

fn guard() -> Result<ExitCode, Failure> {
    tool::allowed("the network of a run", program::line("ip link set lo up"))?;
    let frozen = frozen_folder();
    std::fs::create_dir_all(&frozen).map_err(|e| Failure::harness("make a folder", e))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::harness("start a runtime", error))?;
    let mut inmate = unshare(&["--pid", "--fork", "--kill-child"], "inmate")
        .env(FROZEN, &frozen)
        .spawn()
        .map_err(|error| Failure::harness("run unshare", error))?;
    let status: std::io::Result<_> = runtime.block_on(async {
        // Taking the signals keeps them from ending this process. A terminal sends them to the inmate
        // as well.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            thaw(&frozen, now());
            if let Some(status) = inmate.try_wait()? {
                return Ok(status);
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH) => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => inmate.kill()?,
            }
        }
    });
    // The inmate may have been killed: its nodes cannot end as long as they wait for a disk.
    thaw(&frozen, u64::MAX);
    let _gone = std::fs::remove_dir_all(&frozen);
    let status = status.map_err(|error| Failure::harness("wait for the inmate", error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Names the folder of what is frozen to the inmate.
const FROZEN: &str = "CORACLE_CHAOS_FROZEN";

fn frozen_folder() -> PathBuf {
    std::env::temp_dir().join(format!("coracle-chaos-{}", std::process::id()))
}

/// Thaws what was to be frozen until `now`. Each file names a time and a mount point.
fn thaw(folder: &Path, now: u64) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        let Some((until, mount)) = text.split_once(' ') else {
            continue;
        };
        if until.parse().is_ok_and(|until: u64| until <= now) {
            let _thawed = Command::new("fsfreeze").args(["-u", mount]).status();
            let _gone = std::fs::remove_file(entry.path());
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Freezes the file system mounted there; it is thawed after `time`, whatever becomes of us.
///
/// # Errors
/// If it cannot be frozen.
pub fn freeze(mount: &Path, time: Duration) -> Result<(), Failure> {
    let folder = std::env::var_os(FROZEN).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Failure::harness("freeze", "there is no warden"))?;
    let name = mount.to_string_lossy().replace('/', "_");
    let until = now() + u64::try_from(time.as_millis()).unwrap_or(0);
    let noted = std::fs::write(folder.join(name), format!("{until} {}", mount.display()));
    noted.map_err(|error| Failure::harness("note what is frozen", error))?;
    program::output(Command::new("fsfreeze").arg("-f").arg(mount)).map(drop)
}
