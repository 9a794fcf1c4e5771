//! Places at which tests make a node fail, on the ways between the driver and the world. Only with
//! the cargo feature `failpoints`, which no release has.
//!
//! The variable `CORACLE_FAILPOINTS` names a file. At its start a node writes the places, one a
//! line, beside it (`.ready`). Once the file holds `PLACE ACTION`, the next passage of that place
//! renames it (`.fired`) and acts. A tiny module and not a crate: what a test needs is to pick the
//! node that leads now, while it runs.

mod disk;
mod log;
mod machines;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

pub(super) use disk::FailingDisk;
pub(super) use log::FailingLog;
pub(super) use machines::FailingMachines;

#[cfg(not(debug_assertions))]
compile_error!("failpoints are for tests: no release may have them");

/// Names the file.
const VARIABLE: &str = "CORACLE_FAILPOINTS";

/// How long `sleep` takes: longer than elections.
const SLEEP: Duration = Duration::from_millis(1500);

/// The exit code of `exit`.
const EXIT_CODE: i32 = 86;

static FILE: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));

macro_rules! places {
    ($($place:ident $name:literal,)*) => {
        /// Where.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Place {
            $(#[doc = $name] $place,)*
        }

        impl Place {
            const ALL: &[Self] = &[$(Self::$place,)*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$place => $name,)*
                }
            }
        }
    };
}

places! {
    BeforeHardState "before-hard-state",
    AfterHardState "after-hard-state",
    BeforeAppend "before-append",
    AfterAppend "after-append",
    BeforeConfiguration "before-configuration",
    AfterConfiguration "after-configuration",
    BeforeCompact "before-compact",
    AfterCompact "after-compact",
    BeforeInstall "before-install",
    AfterInstall "after-install",
    BeforeHost "before-host",
    AfterHost "after-host",
    BeforeLogSync "before-log-sync",
    AfterLogSync "after-log-sync",
    BeforeAnchorWrite "before-anchor-write",
    AfterAnchorSync "after-anchor-sync",
    BeforeLogClose "before-log-close",
    AfterLogClose "after-log-close",
    BeforeSnapshotWrite "before-snapshot-write",
    AfterSnapshotWrite "after-snapshot-write",
    BeforeSnapshotSync "before-snapshot-sync",
    AfterSnapshotSync "after-snapshot-sync",
    BeforeSnapshotRename "before-snapshot-rename",
    AfterSnapshotRename "after-snapshot-rename",
    BeforeSnapshotRemove "before-snapshot-remove",
    BeforeStage "before-stage",
    AfterStage "after-stage",
    BeforePluginRename "before-plugin-rename",
    AfterPluginRename "after-plugin-rename",
    BeforeApply "before-apply",
    AfterApply "after-apply",
    BeforeCheckpoint "before-checkpoint",
    AfterCheckpoint "after-checkpoint",
    BeforeInit "before-init",
    BeforeRestore "before-restore",
    AfterRestore "after-restore",
    BeforeActivate "before-activate",
    AfterActivate "after-activate",
    SessionExpiry "session-expiry",
    BeforeConfigured "before-configured",
    BeforeSend "before-send",
    BeforeAnswer "before-answer",
    BeforeSnapshotSend "before-snapshot-send",
    BeforeAdmission "before-admission",
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Exit,
    Panic,
    Sleep,
    Error,
}

impl FromStr for Action {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "exit" => Ok(Self::Exit),
            "panic" => Ok(Self::Panic),
            "sleep" => Ok(Self::Sleep),
            "error" => Ok(Self::Error),
            _ => Err(()),
        }
    }
}

/// Says that the node has failpoints, and which.
pub(super) fn announce() -> io::Result<()> {
    let Some(file) = FILE.as_deref() else {
        return Ok(());
    };
    let names: Vec<&str> = Place::ALL.iter().map(|place| place.name()).collect();
    std::fs::write(beside(file, "ready"), names.join("\n"))
}

/// Passes a place where something can be refused.
pub(super) fn fallible(place: Place) -> io::Result<()> {
    match taken(place) {
        None => Ok(()),
        Some(Action::Error) => {
            let name = place.name();
            Err(io::Error::other(format!("failpoint {name}")))
        }
        Some(action) => {
            act(place, action);
            Ok(())
        }
    }
}

/// Passes a place where nothing can be refused: an error is a panic.
pub(super) fn pass(place: Place) {
    if let Some(action) = taken(place) {
        act(place, action);
    }
}

fn act(place: Place, action: Action) {
    match action {
        Action::Exit => std::process::exit(EXIT_CODE),
        Action::Sleep => std::thread::sleep(SLEEP),
        Action::Panic | Action::Error => panic!("failpoint {}", place.name()),
    }
}

/// What is to be done here, if anything; nobody else does it then.
fn taken(place: Place) -> Option<Action> {
    let file = FILE.as_deref()?;
    let text = std::fs::read_to_string(file).ok()?;
    let (name, action) = text.trim().split_once(' ')?;
    let action = action.parse().ok()?;
    (name == place.name()).then_some(())?;
    std::fs::rename(file, beside(file, "fired")).ok()?;
    Some(action)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    file.with_extension(ending)
}
