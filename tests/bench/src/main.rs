//! Benchmarks of the runtime, each beside the same state machine compiled natively.
//!
//! `coracle-bench [KV.wasm]`: what a command costs in groups of several sizes, what an instance, a
//! snapshot and a restore cost, and what the depth counter adds. All times are CPU time of the
//! measuring thread, medians over rounds, so that a busy machine shows less.

mod measure; // a median of CPU time
mod report; // the table and the JSON
mod state; // snapshot and restore
mod subject; // the machine, native and in the sandbox

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, anyhow};
use clap::{Parser, ValueEnum};
use coracle_runtime::{Engine, EngineOptions, Plugin, STACK_BYTES};

use measure::per_unit;
use report::{Group, Report};
use subject::{Frames, Native, Sandboxed};

/// Sizes of the groups.
const GROUPS: [usize; 3] = [1, 16, 256];

/// Commands in one round.
const COMMANDS: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Benchmarks of the runtime, as ratios to native code.
#[derive(Debug, Parser)]
struct Arguments {
    /// The kv plugin; by default `kv.wasm` in the folder that CORACLE_PLUGINS names.
    plugin: Option<PathBuf>,
    /// Bytes of a command.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Keys in the snapshot, of 1 KiB each.
    #[arg(long, default_value_t = 50_000)]
    keys: usize,
    /// Rounds of which the median is taken.
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let guest = thread::Builder::new().stack_size(STACK_BYTES);
    let run = guest
        .spawn(move || run(&arguments))
        .context("cannot start a thread")?;
    run.join().map_err(|_| anyhow!("the benchmark panicked"))?
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = plugin_path(arguments.plugin.as_deref())?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let counted = stage(&bytes, true)?;
    let uncounted = stage(&bytes, false)?;
    let report = Report {
        command_bytes: arguments.bytes,
        rounds: arguments.rounds,
        stage_ms: per_unit(3, 1, || stage(&bytes, true).map(drop))? / 1e6,
        start_us: per_unit(arguments.rounds, 100, || {
            (0..100).try_for_each(|_| Sandboxed::new(&counted).map(drop))
        })? / 1e3,
        groups: GROUPS
            .into_iter()
            .map(|size| group(arguments, &counted, &uncounted, size))
            .collect::<anyhow::Result<_>>()?,
        state: state::measure(&counted, arguments.keys)?,
    };
    let mut out = std::io::stdout().lock();
    match arguments.output {
        Output::Table => write!(out, "{report}")?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(())
}

fn plugin_path(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    match (given, env::var_os("CORACLE_PLUGINS")) {
        (Some(path), _) => Ok(path.to_owned()),
        (None, Some(folder)) => Ok(Path::new(&folder).join("kv.wasm")),
        (None, None) => Err(anyhow!(
            "name the kv plugin, or run `cargo xtask bench`, which builds it"
        )),
    }
}

/// An engine of its own each time, as in the one process that has one.
fn stage(bytes: &[u8], depth_counter: bool) -> anyhow::Result<Plugin> {
    let engine = Engine::new(EngineOptions {
        depth_counter,
        ..EngineOptions::default()
    })?;
    Ok(engine.stage(bytes)?)
}

fn group(
    arguments: &Arguments,
    counted: &Plugin,
    uncounted: &Plugin,
    size: usize,
) -> anyhow::Result<Group> {
    let frames = Frames::new(COMMANDS, size, arguments.bytes);
    let mut native = Native::new()?;
    let mut with = Sandboxed::new(counted)?;
    let mut without = Sandboxed::new(uncounted)?;
    let mut index = 0;
    Ok(Group {
        size,
        native_ns: per_unit(arguments.rounds, COMMANDS, || native.apply(&frames))?,
        sandbox_ns: per_unit(arguments.rounds, COMMANDS, || {
            with.apply(&frames, &mut index)
        })?,
        uncounted_ns: per_unit(arguments.rounds, COMMANDS, || {
            without.apply(&frames, &mut index)
        })?,
        fuel: with.fuel_per_command(&frames)?,
    })
}
