//! Pins the engine epoch: if one of these moves, metering or semantics have changed and
//! `EPOCH` needs a new number.

use super::*;

/// Command, fuel of a fresh instance for one of it, counter after it.
const VECTORS: &[(&[u8], u64, u64)] = &[
    (b"a", 237, 1),
    (b"n", 224, 0),
    (b"t", 339, 1_000),
    (b"R", 426, 17_112_758_681_110_393_419),
    (b"W", 390_258, 1),
];

#[test]
fn fuel_and_results_of_the_epoch() {
    let actual = on_guest_stack(|| {
        let commands: [&[u8]; 5] = [b"a", b"n", b"t", b"R", b"W"];
        commands.map(|command| {
            let mut instance = start("").unwrap();
            let outcomes = instance.apply(&ENVIRONMENT, &frame(&[command])).unwrap();
            let counter = u64::from_le_bytes(outcomes[9..17].try_into().unwrap());
            (command, instance.fuel_used(), counter)
        })
    });
    assert_eq!(actual, VECTORS);
}
