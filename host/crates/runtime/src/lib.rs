//! The sandbox: runs plugins as WebAssembly components under wasmtime.
//!
//! Knows no Raft. An [`Engine`] (one per process) stages bytes into a [`Plugin`]; a plugin starts
//! [`Instance`]s; every call into an instance has a budget and ends in a result or in one of three
//! kinds of [`Fault`], never mixed: refused by the guest, failed the same on every replica, or the
//! host's own. No type of wasmtime leaves the crate.

/// Compiled code on disk.
mod cache;
/// The instrumentation pass that bounds recursion.
mod depth;
/// One per process, every knob set explicitly.
mod engine;
/// What a guest may know of the world.
mod environment;
/// How a snapshot's bytes cross threads.
mod exchange;
/// What the guest must export.
mod exports;
/// What a call may end in.
mod fault;
/// The packed formats.
mod frame;
/// Ways in for fuzzing.
#[doc(hidden)]
pub mod fuzzing;
/// What the guest may call.
mod imports;
/// What is checked before anything is compiled.
mod inspect;
/// A running instance.
mod instance;
/// Memory and tables.
mod limiter;
/// Bounds on what a guest may use.
mod limits;
/// Text of guests.
mod printable;
/// What sections say of themselves.
mod sections;
/// From bytes to a plugin.
mod stage;
/// The state behind the imports.
mod store;

pub use engine::{CONTRACT, EPOCH, Engine, EngineOptions, STACK_BYTES};
pub use environment::Environment;
pub use exchange::{Sink, Source};
pub use fault::{FailureClass, Fault};
pub use frame::{check_outcomes, count_commands};
pub use instance::{Instance, Reply};
pub use limits::Limits;
pub use printable::printable;
pub use stage::{Caps, Plugin, StageError};
