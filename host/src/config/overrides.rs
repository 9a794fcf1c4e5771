//! The limits of an fsm: built-in, then this node's defaults, then what its creator asked for.

use coracle_client::LimitOverrides;
use coracle_driver::Limits;

/// `base` with the fields that `overrides` names replaced.
pub fn resolve_limits(base: Limits, overrides: &LimitOverrides) -> Limits {
    let o = overrides;
    Limits {
        memory_bytes: o.memory_bytes.unwrap_or(base.memory_bytes),
        table_elements: o.table_elements.unwrap_or(base.table_elements),
        command_fuel: o.command_fuel.unwrap_or(base.command_fuel),
        query_fuel: o.query_fuel.unwrap_or(base.query_fuel),
        start_fuel: o.start_fuel.unwrap_or(base.start_fuel),
        state_fuel_per_mib: o.state_fuel_per_mib.unwrap_or(base.state_fuel_per_mib),
        command_bytes: o.command_bytes.unwrap_or(base.command_bytes),
        reply_bytes: o.reply_bytes.unwrap_or(base.reply_bytes),
        group_reply_bytes: o.group_reply_bytes.unwrap_or(base.group_reply_bytes),
        snapshot_bytes: o.snapshot_bytes.unwrap_or(base.snapshot_bytes),
        log_bytes: o.log_bytes.unwrap_or(base.log_bytes),
    }
}
