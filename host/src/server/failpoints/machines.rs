//! State machines with failpoints.

use std::cell::Cell;
use std::sync::Arc;

use coracle_driver::{
    Digest, Environment, Fault, Machine, MachineSpec, Machines, Reply, Sink, Source,
};
use coracle_proto::Index;

use super::{Place, fallible};

/// Other machines, and places around what they are asked.
#[derive(Debug)]
pub(in crate::server) struct FailingMachines(pub(in crate::server) Arc<dyn Machines>);

thread_local! {
    /// What was saved last, and at which entry. Another plugin that restores at the same entry is
    /// being activated: one turn of a worker does both.
    static SAVED: Cell<Option<(Digest, Index)>> = const { Cell::new(None) };
}

fn activates(spec: &MachineSpec, environment: &Environment) -> bool {
    SAVED.get().is_some_and(|(plugin, index)| {
        index == environment.index && plugin != spec.plugin && plugin != MachineSpec::NATIVE
    })
}

fn check(place: Place) -> Result<(), Fault> {
    fallible(place).map_err(|error| Fault::Host(error.to_string()))
}

impl Machines for FailingMachines {
    fn has(&self, plugin: &Digest) -> bool {
        self.0.has(plugin)
    }

    fn start(
        &self,
        spec: &MachineSpec,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Box<dyn Machine>, Fault> {
        let (restores, activates) = (source.is_some(), activates(spec, environment));
        match restores {
            true => check(Place::BeforeRestore)?,
            false => check(Place::BeforeInit)?,
        }
        if activates {
            check(Place::BeforeActivate)?;
        }
        let machine = self.0.start(spec, environment, source, slack)?;
        if restores {
            check(Place::AfterRestore)?;
        }
        if activates {
            check(Place::AfterActivate)?;
        }
        let plugin = spec.plugin;
        Ok(Box::new(FailingMachine { machine, plugin }))
    }
}

#[derive(Debug)]
struct FailingMachine {
    machine: Box<dyn Machine>,
    plugin: Digest,
}

impl Machine for FailingMachine {
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        check(Place::BeforeApply)?;
        let outcomes = self.machine.apply(environment, frame)?;
        check(Place::AfterApply)?;
        Ok(outcomes)
    }

    fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        self.machine.query(environment, request)
    }

    fn snapshot(&mut self, environment: &Environment, sink: &mut dyn Sink) -> Result<(), Fault> {
        check(Place::BeforeCheckpoint)?;
        self.machine.snapshot(environment, sink)?;
        SAVED.set(Some((self.plugin, environment.index)));
        check(Place::AfterCheckpoint)
    }

    fn fuel_used(&self) -> u64 {
        self.machine.fuel_used()
    }

    fn memory_bytes(&self) -> u64 {
        self.machine.memory_bytes()
    }
}
