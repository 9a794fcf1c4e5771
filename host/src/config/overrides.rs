//! The limits of an fsm: built-in, then this node's defaults, then what its creator asked for.
//! What nobody may ask for: a guest without end would hold a thread of every node for good.

use coracle_client::LimitOverrides;
use coracle_driver::Limits;

use super::check::MAX_COMMAND_BYTES as MAX_MESSAGE_BYTES;

/// Some minutes of one core.
const MAX_FUEL: u64 = 100_000_000_000;

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

/// Says which limit is more than any fsm may have.
///
/// # Errors
/// Its name, its value and the most that may be asked for.
pub fn check_limits(limits: &Limits) -> Result<(), String> {
    let l = limits;
    let most = [
        ("memory_bytes", l.memory_bytes, 4 << 30),
        ("table_elements", l.table_elements, 10_000_000),
        ("command_fuel", l.command_fuel, MAX_FUEL),
        ("query_fuel", l.query_fuel, MAX_FUEL),
        ("start_fuel", l.start_fuel, MAX_FUEL),
        ("state_fuel_per_mib", l.state_fuel_per_mib, MAX_FUEL),
        ("command_bytes", l.command_bytes, MAX_MESSAGE_BYTES),
        // A reply is forwarded in one piece.
        ("reply_bytes", l.reply_bytes, MAX_MESSAGE_BYTES),
        ("group_reply_bytes", l.group_reply_bytes, 1 << 30),
        ("snapshot_bytes", l.snapshot_bytes, 64 << 30),
        ("log_bytes", l.log_bytes, 16 << 20),
    ];
    match most.into_iter().find(|(_, value, most)| value > most) {
        Some((name, value, most)) => Err(format!("{name}: {value} is more than {most}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_may_be_asked_for_and_what_has_no_end_may_not() {
        assert_eq!(check_limits(&Limits::default()), Ok(()));
        let endless = Limits {
            command_fuel: u64::MAX,
            ..Limits::default()
        };
        let wrong = check_limits(&endless).unwrap_err();
        assert!(
            wrong.starts_with("command_fuel: 18446744073709551615"),
            "{wrong}"
        );
    }
}
