//! The kv machine, native and in the sandbox, fed the same frames.

use std::hint::black_box;

use anyhow::anyhow;
use coracle_guest::{StateMachine, apply_frame};
use coracle_runtime::{Environment, Instance, Limits, Plugin};
use kv::Kv;

/// Keys that the commands write to.
const KEYS: usize = 10_000;

/// Commands, packed in groups.
#[derive(Debug)]
pub(crate) struct Frames(Vec<Vec<u8>>);

impl Frames {
    /// `count` puts of `bytes` each, `size` to a group.
    pub(crate) fn new(count: usize, size: usize, bytes: usize) -> Self {
        let mut random = 0x1234_5678_u64;
        let commands: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                put(random as usize % KEYS, bytes)
            })
            .collect();
        Self(commands.chunks(size).map(pack).collect())
    }

    /// One put for each of `count` keys, in groups.
    pub(crate) fn filling(count: usize, bytes: usize) -> Self {
        let commands: Vec<Vec<u8>> = (0..count).map(|key| put(key, bytes)).collect();
        Self(commands.chunks(256).map(pack).collect())
    }
}

fn put(key: usize, bytes: usize) -> Vec<u8> {
    let mut command = format!("put k{key:05} ").into_bytes();
    command.resize(bytes.max(command.len() + 1), b'v');
    command
}

fn pack(commands: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = (commands.len() as u32).to_le_bytes().to_vec();
    for command in commands {
        frame.extend((command.len() as u32).to_le_bytes());
        frame.extend(command);
    }
    frame
}

/// Compiled natively.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) machine: Kv,
    pub(crate) environment: coracle_guest::Environment,
}

impl Native {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let environment = coracle_guest::Environment::test();
        Ok(Self {
            machine: Kv::init(&environment).map_err(refused)?,
            environment,
        })
    }

    pub(crate) fn apply(&mut self, frames: &Frames) -> anyhow::Result<()> {
        for frame in &frames.0 {
            black_box(apply_frame(&mut self.machine, &self.environment, frame)?);
        }
        Ok(())
    }
}

/// The SDK's error is not one of the standard library's.
pub(crate) fn refused(error: coracle_guest::Error) -> anyhow::Error {
    anyhow!("the native machine refused: {error:?}")
}

/// In the sandbox.
#[derive(Debug)]
pub(crate) struct Sandboxed(pub(crate) Instance);

/// Wide enough for any number of keys that a benchmark asks for.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_bytes: 2 << 30,
        snapshot_bytes: 2 << 30,
        ..Limits::default()
    }
}

impl Sandboxed {
    pub(crate) fn new(plugin: &Plugin) -> anyhow::Result<Self> {
        Ok(Self(plugin.start(
            &[],
            &limits(),
            &environment(0),
            None,
            false,
        )?))
    }

    /// Each frame is an entry of its own.
    pub(crate) fn apply(&mut self, frames: &Frames, index: &mut u64) -> anyhow::Result<()> {
        for frame in &frames.0 {
            *index += 1;
            black_box(self.0.apply(&environment(*index), frame)?);
        }
        Ok(())
    }

    pub(crate) fn fuel_per_command(&mut self, frames: &Frames) -> anyhow::Result<u64> {
        let before = self.0.fuel_used();
        self.apply(frames, &mut 0)?;
        let commands: u64 = frames
            .0
            .iter()
            .map(|f| u64::from(f[0]) | u64::from(f[1]) << 8)
            .sum();
        Ok((self.0.fuel_used() - before) / commands.max(1))
    }
}

pub(crate) fn environment(index: u64) -> Environment {
    Environment {
        index,
        time: index,
        seed: [0; 32],
    }
}
