//! What the host keeps per instance, and how imports reach it.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::{Result, StoreContextMut, Trap};

use crate::Limits;
use crate::environment::{Call, Environment, Random};
use crate::exchange::{SinkPort, SourcePort};
use crate::limiter::Limiter;

/// Fuel of an import's call, whatever it does: the host's work is not metered otherwise.
const IMPORT_FUEL: u64 = 100;

/// The settings of an fsm.
pub(crate) type Settings = Arc<BTreeMap<Vec<u8>, Vec<u8>>>;

/// The state behind the imports of one instance.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) limiter: Limiter,
    pub(crate) settings: Settings,
    pub(crate) environment: Environment,
    pub(crate) random: Random,
    /// Bytes of log output left in this call.
    pub(crate) log_left: u64,
    /// Only during `snapshot`.
    pub(crate) sink: Option<SinkPort>,
    /// Only during `restore`.
    pub(crate) source: Option<SourcePort>,
    /// Fuel granted per MiB that a source delivers.
    pub(crate) state_fuel_per_mib: u64,
}

impl Data {
    pub(crate) fn new(limits: &Limits, settings: Settings) -> Self {
        Self {
            limiter: Limiter::new(limits),
            settings,
            environment: Environment::CONSTANT,
            random: Random::new(&Environment::CONSTANT, Call::Instantiate, 0),
            log_left: limits.log_bytes,
            sink: None,
            source: None,
            state_fuel_per_mib: limits.state_fuel_per_mib,
        }
    }

    /// Sets what the guest can see during a call.
    pub(crate) fn begin_call(
        &mut self,
        environment: &Environment,
        random: Random,
        limits: &Limits,
    ) {
        self.limiter.begin_call();
        self.environment = *environment;
        self.random = random;
        self.log_left = limits.log_bytes;
    }
}

/// A store as an import sees it.
pub(crate) type Context<'a> = StoreContextMut<'a, Data>;

/// Charges the guest for an import's call and `units` of work in it.
pub(crate) fn charge(store: &mut Context<'_>, units: u64) -> Result<()> {
    let price = IMPORT_FUEL.saturating_add(units);
    match store.get_fuel()?.checked_sub(price) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}
