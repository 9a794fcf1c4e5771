//! Sandboxed state machines as the driver wants them.

use std::sync::Arc;
use std::time::Instant;

use coracle_driver::{
    Digest, Environment, FailureClass, Fault, Limits, Machine, MachineSpec, Machines, Reply, Sink,
    Source,
};
use coracle_runtime as runtime;
use tracing::debug;

use super::plugins::Plugins;
use crate::metrics::Metrics;

/// Starts instances of this node's plugins.
#[derive(Debug)]
pub(super) struct Sandboxes {
    plugins: Arc<Plugins>,
    metrics: Arc<Metrics>,
}

impl Sandboxes {
    pub(super) fn new(plugins: Arc<Plugins>, metrics: Arc<Metrics>) -> Self {
        Self { plugins, metrics }
    }
}

impl Machines for Sandboxes {
    fn has(&self, plugin: &Digest) -> bool {
        self.plugins.has(plugin)
    }

    fn start(
        &self,
        spec: &MachineSpec,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Box<dyn Machine>, Fault> {
        check_semantics(spec)?;
        let plugin = self
            .plugins
            .get(spec.plugin)
            .map_err(|error| Fault::Host(error.to_string()))?
            .ok_or_else(|| Fault::Host(format!("plugin {} is not here", spec.plugin)))?;
        let mut source = source.map(FromDriver);
        let source = source
            .as_mut()
            .map(|source| source as &mut dyn runtime::Source);
        let limits = limits(&spec.limits);
        let environment = here(environment);
        let restores = source.is_some();
        let began = Instant::now();
        let instance = plugin
            .start(&spec.config, &limits, &environment, source, slack)
            .map_err(fault)?;
        if restores {
            let took = began.elapsed().as_secs_f64();
            self.metrics.fsms.restore.observe(took);
        }
        Ok(Box::new(Sandbox(instance, Arc::clone(&self.metrics))))
    }
}

/// Replicas must not run an entry by other rules than those it was written under.
fn check_semantics(spec: &MachineSpec) -> Result<(), Fault> {
    if spec.epoch != runtime::EPOCH {
        let known = runtime::EPOCH;
        let asked = spec.epoch;
        return Err(Fault::Host(format!(
            "engine epoch {asked} is not known to this binary (it runs {known}): upgrade the node"
        )));
    }
    if spec.contract != runtime::CONTRACT {
        let known = runtime::CONTRACT;
        let asked = &spec.contract;
        return Err(Fault::Host(format!(
            "contract {asked} is not known to this binary (it serves {known}): upgrade the node"
        )));
    }
    Ok(())
}

#[derive(Debug)]
struct Sandbox(runtime::Instance, Arc<Metrics>);

impl Machine for Sandbox {
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        self.0.apply(&here(environment), frame).map_err(fault)
    }

    fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        match self.0.query(&here(environment), request).map_err(fault)? {
            runtime::Reply::Ok(reply) => Ok(Reply::Ok(reply)),
            runtime::Reply::Refused(reply) => Ok(Reply::Refused(reply)),
        }
    }

    fn snapshot(&mut self, environment: &Environment, sink: &mut dyn Sink) -> Result<(), Fault> {
        let began = Instant::now();
        let result = self.0.snapshot(&here(environment), &mut IntoDriver(sink));
        let took = began.elapsed().as_secs_f64();
        self.1.fsms.snapshot.observe(took);
        result.map_err(fault)
    }

    fn fuel_used(&self) -> u64 {
        self.0.fuel_used()
    }

    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }
}

struct FromDriver<'a>(&'a mut dyn Source);

impl runtime::Source for FromDriver<'_> {
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String> {
        self.0.read(max)
    }
}

struct IntoDriver<'a>(&'a mut dyn Sink);

impl runtime::Sink for IntoDriver<'_> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.0.write(chunk)
    }
}

fn here(environment: &Environment) -> runtime::Environment {
    runtime::Environment {
        index: environment.index,
        time: environment.time,
        seed: environment.seed,
    }
}

fn limits(limits: &Limits) -> runtime::Limits {
    runtime::Limits {
        memory_bytes: limits.memory_bytes,
        table_elements: limits.table_elements,
        command_fuel: limits.command_fuel,
        query_fuel: limits.query_fuel,
        start_fuel: limits.start_fuel,
        state_fuel_per_mib: limits.state_fuel_per_mib,
        command_bytes: limits.command_bytes,
        reply_bytes: limits.reply_bytes,
        group_reply_bytes: limits.group_reply_bytes,
        snapshot_bytes: limits.snapshot_bytes,
        log_bytes: limits.log_bytes,
    }
}

fn fault(fault: runtime::Fault) -> Fault {
    match fault {
        runtime::Fault::Refused(message) => Fault::Refused(message),
        runtime::Fault::Failed { class, detail } => {
            debug!(?class, detail, "a call into a guest failed");
            Fault::Failed {
                class: self::class(class),
                detail,
            }
        }
        runtime::Fault::Host(reason) => Fault::Host(reason),
    }
}

fn class(class: runtime::FailureClass) -> FailureClass {
    match class {
        runtime::FailureClass::Trap => FailureClass::Trap,
        runtime::FailureClass::Fuel => FailureClass::Fuel,
        runtime::FailureClass::Memory => FailureClass::Memory,
        runtime::FailureClass::Stack => FailureClass::Stack,
        runtime::FailureClass::BadResult => FailureClass::BadResult,
    }
}
