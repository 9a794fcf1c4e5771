//! Memory and tables of one instance, over all its modules.

use wasmtime::{Error, ResourceLimiter, Result};

use crate::Limits;
use crate::fault::HostError;

/// Instances, memories and tables that one component may make. Interpreters linked from many
/// modules need some dozens.
const MAX_PARTS: usize = 256;

/// Grants growth up to the limits, which are the same on every replica, and turns a failure of
/// this host to deliver what was granted into a host fault, which the guest never sees.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: u64,
    memory_limit: u64,
    tables: u64,
    tables_limit: u64,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            memory_limit: limits.memory_bytes,
            tables: 0,
            tables_limit: limits.table_elements,
            refused: false,
        }
    }

    /// Bytes of all memories.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    /// Begins a call: what was refused in an earlier one explains nothing in this.
    pub(crate) fn begin_call(&mut self) {
        self.refused = false;
    }

    /// Whether growth was refused in this call.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn grant(
        &mut self,
        used: fn(&mut Self) -> (&mut u64, u64),
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> bool {
        let (total, limit) = used(self);
        let grown = total.saturating_add(desired.saturating_sub(current) as u64);
        // A module's own maximum is checked here too: beyond it the engine reports a failure.
        let granted = grown <= limit && maximum.is_none_or(|maximum| desired <= maximum);
        if granted {
            *total = grown;
        } else {
            self.refused = true;
        }
        granted
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(self.grant(
            |s| (&mut s.memory, s.memory_limit),
            current,
            desired,
            maximum,
        ))
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        Err(HostError(format!("cannot grow a memory within its limit: {error:#}")).into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        Ok(self.grant(
            |s| (&mut s.tables, s.tables_limit),
            current,
            desired,
            maximum,
        ))
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        Err(HostError(format!("cannot grow a table within its limit: {error:#}")).into())
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}
