//! Native machines beside sandboxed ones.

use std::sync::Arc;

use super::machine::{Directory, DirectoryHandle};
use crate::{Digest, Environment, Fault, Machine, MachineSpec, Machines, Source};

/// Makes the directory for [`MachineSpec::NATIVE`], and everything else as `others` does.
#[derive(Debug)]
pub struct NativeMachines {
    handle: DirectoryHandle,
    others: Arc<dyn Machines>,
}

impl NativeMachines {
    /// `handle`: where the live directory is published.
    pub fn new(handle: DirectoryHandle, others: Arc<dyn Machines>) -> Self {
        Self { handle, others }
    }
}

impl Machines for NativeMachines {
    fn has(&self, plugin: &Digest) -> bool {
        *plugin == MachineSpec::NATIVE || self.others.has(plugin)
    }

    fn start(
        &self,
        spec: &MachineSpec,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Box<dyn Machine>, Fault> {
        if spec.plugin != MachineSpec::NATIVE {
            return self.others.start(spec, environment, source, slack);
        }
        // A reader twin lags behind: it must not publish.
        let handle = (!slack).then(|| self.handle.clone());
        Ok(Box::new(Directory::start(
            environment.index,
            source,
            handle,
        )?))
    }
}
