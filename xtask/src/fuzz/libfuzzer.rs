//! Tapes that libFuzzer finds: guided by what code they reach.
//!
//! It needs neither nightly nor `cargo bolero`: the counters are a pass of LLVM that the stable
//! compiler has, and libFuzzer itself comes with bolero as C++.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::coverage::{ENGINE, WATCHED};
use crate::{
    runs::{Failure, not_started, output, say},
    workspace::{cargo, json_text, root, target_folder},
};

/// Where tapes that failed once, and those that show something of a format, are kept.
const KEPT: &str = "tests/fuzz/tests/fuzz/__fuzz__";

/// A tape that takes longer hangs.
const SLOWEST_TAPE_SECONDS: u64 = 60;

/// What it says last of what it has reached.
const DONE: &str = "DONE";

/// Runs every target whose name holds `filter` for `time`, and says at the end which failed.
pub(super) fn run(filter: Option<&str>, time: Duration) -> Result<(), Failure> {
    let folder = target_folder()?.join("libfuzzer");
    let program = build(&folder)?;
    let targets = targets(&program, filter)?;
    let seconds = time.as_secs();
    say(&format!(
        "libFuzzer, {} targets, {seconds} s each",
        targets.len()
    ));
    let mut failed = Vec::new();
    for target in &targets {
        let run = Run::of(&folder, target)?;
        match run.fuzz(&program, target, seconds)? {
            Some(reached) => say(&format!("{target}: {reached}")),
            None => {
                say(&run.failure(target));
                failed.push(target.as_str());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Other(format!("failed: {}", failed.join(", ")))),
    }
}

/// The test program with the engine in it, and overflow and debug assertions on.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    output(Command::new("c++").arg("--version"))?;
    let version = output(Command::new("rustc").current_dir(root()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::Other("`rustc -vV` names no host".into()))?;
    let own = copy_of_xtask(folder)?;
    let mut build = cargo("test --release --no-run -p coracle-fuzz --test fuzz");
    build
        .args(["--target", host])
        .args(["--config", "profile.release.debug-assertions=true"])
        // The counters cost more than this saves, and the build is half as long.
        .args(["--config", "profile.release.opt-level=1"])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_TARGET_DIR", folder)
        .env("RUSTC_WRAPPER", &own)
        .env(WATCHED, "1")
        .env("RUSTFLAGS", format!("--cfg fuzzing --cfg {ENGINE}"))
        .stderr(Stdio::inherit());
    say("building the targets with libFuzzer");
    let built = output(&mut build)?;
    json_text(&built, "executable")
        .map(PathBuf::from)
        .ok_or_else(|| Failure::Other("cargo names no program of the targets".into()))
}

/// Another build may put another xtask where this one is before cargo has done with it.
fn copy_of_xtask(folder: &Path) -> Result<PathBuf, Failure> {
    let copy = folder.join("xtask");
    let copied = fs::create_dir_all(folder)
        .and_then(|()| std::env::current_exe())
        .and_then(|own| fs::copy(own, &copy));
    copied.map_err(|error| Failure::io("copy xtask", &error))?;
    Ok(copy)
}

fn targets(program: &Path, filter: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut list = Command::new(program);
    let listed = output(list.args(filter).args(["--list", "--format", "terse"]))?;
    super::names(&listed, filter)
}

/// The files of one target.
struct Run {
    /// Tapes that reached something new, kept from run to run.
    found: PathBuf,
    failures: PathBuf,
    log: PathBuf,
}

impl Run {
    fn of(folder: &Path, target: &str) -> Result<Self, Failure> {
        let folder = folder.join("runs").join(folder_of(target));
        let run = Self {
            found: folder.join("corpus"),
            failures: folder.join("failures"),
            log: folder.join("log"),
        };
        for folder in [&run.found, &run.failures] {
            let made = fs::create_dir_all(folder);
            made.map_err(|error| Failure::io(format_args!("make {}", folder.display()), &error))?;
        }
        Ok(run)
    }

    /// What was reached; nothing if a tape failed.
    fn fuzz(&self, program: &Path, target: &str, seconds: u64) -> Result<Option<String>, Failure> {
        let log = fs::File::create(&self.log).map_err(|error| Failure::io("log", &error))?;
        let mut command = Command::new(program);
        command
            .current_dir(root())
            .args([target, "--exact", "--nocapture", "--test-threads", "1"])
            .env("BOLERO_LIBFUZZER_ARGS", self.arguments(target, seconds))
            .stdout(Stdio::null())
            .stderr(log);
        let status = command.status();
        let status = status.map_err(|error| not_started(&command, &error))?;
        let said = fs::read(&self.log).map_err(|error| Failure::io("read the log", &error))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(status.success().then(|| reached(&said)).flatten())
    }

    fn arguments(&self, target: &str, seconds: u64) -> String {
        let kept = root().join(KEPT).join(folder_of(target)).join("corpus");
        let mut words = vec![self.found.display().to_string()];
        if kept.is_dir() {
            words.push(kept.display().to_string());
        }
        words.extend([
            format!("-artifact_prefix={}/", self.failures.display()),
            format!("-max_total_time={seconds}"),
            format!("-timeout={SLOWEST_TAPE_SECONDS}"),
            "-print_final_stats=1".to_owned(),
        ]);
        words.join(" ")
    }

    fn failure(&self, target: &str) -> String {
        format!(
            "{target}: FAILED, see {}; the tape is in {}: once mended, keep it as a file of \
             {KEPT}/{}/corpus",
            self.log.display(),
            self.failures.display(),
            folder_of(target)
        )
    }
}

/// As bolero names it.
fn folder_of(target: &str) -> String {
    target.replace("::", "__")
}

/// Tapes, time and coverage, out of the last line in which libFuzzer tells them.
fn reached(said: &str) -> Option<String> {
    let done = said.lines().rfind(|line| line.contains(DONE))?;
    let after = |name: &str| {
        let mut words = done.split_whitespace();
        words.find(|word| *word == name)?;
        words.next().map(str::to_owned)
    };
    let tapes = done.strip_prefix('#')?.split_whitespace().next()?;
    let (edges, kept) = (after("cov:")?, after("corp:")?);
    Some(format!(
        "{tapes} tapes, {edges} edges reached, {kept} tapes/bytes kept"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_read_from_the_last_line() {
        let said = "#2\tINITED cov: 9 ft: 9 corp: 1/1b\n\
            #814\tDONE   cov: 104 ft: 300 corp: 12/80b lim: 11 exec/s: 27 rss: 40Mb\n\
            Done 814 runs in 31 second(s)\n";
        assert_eq!(
            reached(said).as_deref(),
            Some("814 tapes, 104 edges reached, 12/80b tapes/bytes kept")
        );
        assert_eq!(reached("test result: ok"), None, "no engine ran");
    }
}
