//! The engine: one per process, every knob set explicitly.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use wasmparser::WasmFeatures;
use wasmtime::{Config, Inlining, OperatorCost, OptLevel, RegallocAlgorithm, Strategy};

use crate::cache::Cache;
use crate::stage::{Caps, Plugin, StageError, stage};

/// The engine epoch: names the semantics of metering, knobs, limits, instrumentation and contract.
/// A change that moves a golden vector (tests/runtime/golden.rs) needs a new number.
pub const EPOCH: u32 = 1;

/// The version of the contract `coracle:fsm` that this crate serves.
pub const CONTRACT: &str = "0.1.0";

/// Native stack that guest code may use. The depth counter trips at a quarter of it
/// ([`crate::depth::STACK_BUDGET`]), because its unit is an estimate of a native frame.
pub(crate) const WASM_STACK_BYTES: usize = 64 << 20;

/// The stack that a thread must have before it calls `Plugin::start`, `Instance::apply`
/// or `Instance::query`: what guests may use and room for the host's own frames. It is address
/// space; only what a guest really uses becomes memory.
pub const STACK_BYTES: usize = WASM_STACK_BYTES + (8 << 20);

/// Innermost frames of a guest kept for the log when it traps.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Address space reserved per linear memory: all a 32-bit memory can ever need, so that growth
/// never moves it and never fails for want of a neighbour.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// What a guest module may use. Everything else is refused when it is staged; adding a bit is a
/// new epoch.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// How to make an [`Engine`].
#[derive(Clone)]
pub struct EngineOptions {
    /// Folder of compiled code; none: compile at every start.
    pub cache: Option<PathBuf>,
    /// Known to this node only; proves that compiled code is its own. Must not change while the
    /// folder is kept (the code would only be compiled again).
    pub node_secret: [u8; 32],
    /// Caps on what is compiled.
    pub caps: Caps,
    /// Off only to measure what the depth counter costs: without it a recursion without end is a
    /// host fault. Never off where commands are replicated.
    pub depth_counter: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache: None,
            node_secret: [0; 32],
            caps: Caps::default(),
            depth_counter: true,
        }
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("cache", &self.cache)
            .field("caps", &self.caps)
            .field("depth_counter", &self.depth_counter)
            .finish_non_exhaustive()
    }
}

/// Compiles plugins. One per process.
pub struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) cache: Option<Cache>,
    pub(crate) caps: Caps,
    pub(crate) depth_counter: bool,
}

impl Engine {
    /// Makes the engine.
    ///
    /// # Errors
    /// [`StageError::Engine`] if this machine cannot run it; [`StageError::Cache`] if the folder
    /// cannot be made.
    pub fn new(options: EngineOptions) -> Result<Self, StageError> {
        let wasmtime = wasmtime::Engine::new(&deterministic_config())
            .map_err(|error| StageError::Engine(format!("{error:#}")))?;
        let cache = match options.cache {
            // Code without the counter must never be taken for code with it.
            Some(folder) if options.depth_counter => {
                Some(Cache::open(folder, options.node_secret, &wasmtime)?)
            }
            _ => None,
        };
        Ok(Self {
            wasmtime,
            cache,
            caps: options.caps,
            depth_counter: options.depth_counter,
        })
    }

    /// Verifies, instruments and compiles a plugin, and asks it what it is. Needs a stack of
    /// [`STACK_BYTES`]; takes from 10 ms (a Rust plugin) to seconds (an interpreter).
    ///
    /// # Errors
    /// [`StageError`] says what is wrong with the bytes.
    pub fn stage(&self, bytes: &[u8]) -> Result<Plugin, StageError> {
        stage(self, bytes)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("epoch", &EPOCH)
            .finish_non_exhaustive()
    }
}

/// All that decides what a guest computes, in one place (DESIGN 7.1). Every proposal is on or off
/// by [`FEATURES`]; the other knobs are set even where their default is what we want, so that an
/// update of the engine cannot change them.
pub(crate) fn deterministic_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .wasm_features(FEATURES, true)
        .shared_memory(false)
        .concurrency_support(false)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .consume_fuel(true)
        .operator_cost(OperatorCost::default())
        .epoch_interruption(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        // Unused, but checked against the line above.
        .async_stack_size(STACK_BYTES)
        // A copy-on-write image spends no fuel on data segments, and not every system has it.
        .memory_init_cow(false)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_may_move(false)
        .signals_based_traps(true);
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .cranelift_debug_verifier(false)
        .compiler_inlining(Inlining::No)
        .debug_info(false)
        .generate_address_map(false)
        .native_unwind_info(false)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_has_exactly_the_declared_features() {
        let engine = wasmtime::Engine::new(&deterministic_config()).unwrap();
        let actual = format!("{:?}", engine.get_wasm_features());
        assert_eq!(actual, format!("{FEATURES:?}"));
    }
}
