//! The sandbox from outside, with a state machine written by hand.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

/// What an instance computes, and that it is the same everywhere.
mod behaviour;
/// One guest per failure class.
mod failures;
/// Fuel and replies of the engine epoch.
mod golden;
/// What is refused before it runs.
mod stage;
/// The deterministic stub of WASI.
mod wasi;

use std::sync::OnceLock;
use std::thread;

use coracle_runtime::{
    Engine, EngineOptions, Environment, FailureClass, Fault, Instance, Limits, Plugin, STACK_BYTES,
    Sink, Source,
};

const MACHINE: &str = include_str!("machine.wat");

const ENVIRONMENT: Environment = Environment {
    index: 5,
    time: 1_000,
    seed: [9; 32],
};

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineOptions::default()).unwrap())
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| engine().stage(&component(MACHINE)).unwrap())
}

/// Runs a test on a thread with the stack that guests need.
fn on_guest_stack<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(test)
        .unwrap();
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn frame(commands: &[&[u8]]) -> Vec<u8> {
    let mut frame = (commands.len() as u32).to_le_bytes().to_vec();
    for command in commands {
        frame.extend((command.len() as u32).to_le_bytes());
        frame.extend(*command);
    }
    frame
}

fn start(mode: &str) -> Result<Instance, Fault> {
    start_limited(mode, &Limits::default(), None)
}

fn start_limited(
    mode: &str,
    limits: &Limits,
    source: Option<&mut dyn Source>,
) -> Result<Instance, Fault> {
    let config = [("mode".to_owned(), mode.to_owned())];
    let config = if mode.is_empty() { &[][..] } else { &config };
    plugin().start(config, limits, &ENVIRONMENT, source, false)
}

fn class<T: std::fmt::Debug>(result: Result<T, Fault>) -> FailureClass {
    match result {
        Err(Fault::Failed { class, .. }) => class,
        other => panic!("no failure of the guest: {other:?}"),
    }
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.0.extend(chunk);
        Ok(())
    }
}

/// Gives its bytes in pieces of at most the given size.
struct Pieces(Vec<u8>, usize);

impl Source for Pieces {
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String> {
        let len = max.min(self.1).min(self.0.len());
        Ok(self.0.drain(..len).collect())
    }
}

struct Broken;

impl Sink for Broken {
    fn write(&mut self, _: &[u8]) -> Result<(), String> {
        Err("disk full".into())
    }
}

impl Source for Broken {
    fn read(&mut self, _: usize) -> Result<Vec<u8>, String> {
        Err("bad checksum".into())
    }
}
