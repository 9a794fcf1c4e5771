//! Snapshot and restore, whose work is done on a thread of their own: wall time, best of some.

use std::time::Instant;

use coracle_guest::StateMachine as _;
use coracle_runtime::{Plugin, Sink, Source};
use kv::Kv;
use serde::Serialize;

use crate::subject::{Frames, Native, Sandboxed, environment, limits, refused};

/// Bytes of a command that sets a key.
const VALUE_BYTES: usize = 1024;

/// Attempts of which the best counts.
const ATTEMPTS: usize = 5;

/// What leaving and entering an instance costs, milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    pub(crate) bytes: usize,
    pub(crate) native_snapshot_ms: f64,
    pub(crate) snapshot_ms: f64,
    pub(crate) native_restore_ms: f64,
    pub(crate) restore_ms: f64,
}

pub(crate) fn measure(plugin: &Plugin, keys: usize) -> anyhow::Result<State> {
    let frames = Frames::filling(keys, VALUE_BYTES);
    let mut native = Native::new()?;
    native.apply(&frames)?;
    let mut sandboxed = Sandboxed::new(plugin)?;
    sandboxed.apply(&frames, &mut 0)?;
    let mut state = Bytes::default();
    sandboxed.0.snapshot(&environment(1), &mut state)?;
    let bytes = state.0;
    Ok(State {
        bytes: bytes.len(),
        native_snapshot_ms: best(|| {
            let mut sink = Vec::with_capacity(bytes.len());
            native
                .machine
                .snapshot(&native.environment, &mut sink)
                .map_err(refused)
        })?,
        snapshot_ms: best(|| {
            let mut sink = Bytes(Vec::with_capacity(bytes.len()));
            Ok(sandboxed.0.snapshot(&environment(1), &mut sink)?)
        })?,
        native_restore_ms: best(|| {
            Kv::restore(&native.environment, &mut bytes.as_slice())
                .map(drop)
                .map_err(refused)
        })?,
        restore_ms: best(|| {
            let mut source = Rest(&bytes);
            let source = Some(&mut source as &mut dyn Source);
            Ok(plugin
                .start(&[], &limits(), &environment(1), source, false)
                .map(drop)?)
        })?,
    })
}

fn best(mut attempt: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        let begin = Instant::now();
        attempt()?;
        best = best.min(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}

struct Rest<'a>(&'a [u8]);

impl Source for Rest<'_> {
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String> {
        let (head, rest) = self.0.split_at(max.min(self.0.len()));
        self.0 = rest;
        Ok(head.to_vec())
    }
}
