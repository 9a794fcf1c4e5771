//! State machines with failpoints.

use std::sync::Arc;

use coracle_driver::{
    Digest, Environment, Fault, Machine, MachineSpec, Machines, Reply, Sink, Source,
};

use super::{Place, fallible};

/// Other machines, and places around what they are asked.
#[derive(Debug)]
pub(in crate::server) struct FailingMachines(pub(in crate::server) Arc<dyn Machines>);

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
        let restores = source.is_some();
        match restores {
            true => check(Place::BeforeRestore)?,
            false => check(Place::BeforeInit)?,
        }
        let machine = self.0.start(spec, environment, source, slack)?;
        if restores {
            check(Place::AfterRestore)?;
        }
        Ok(Box::new(FailingMachine(machine)))
    }
}

#[derive(Debug)]
struct FailingMachine(Box<dyn Machine>);

impl Machine for FailingMachine {
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault> {
        check(Place::BeforeApply)?;
        let outcomes = self.0.apply(environment, frame)?;
        check(Place::AfterApply)?;
        Ok(outcomes)
    }

    fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault> {
        self.0.query(environment, request)
    }

    fn snapshot(&mut self, environment: &Environment, sink: &mut dyn Sink) -> Result<(), Fault> {
        check(Place::BeforeCheckpoint)?;
        self.0.snapshot(environment, sink)?;
        check(Place::AfterCheckpoint)
    }

    fn fuel_used(&self) -> u64 {
        self.0.fuel_used()
    }

    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }
}
