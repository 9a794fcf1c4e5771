use coracle_runtime::{Environment, Limits};

use super::*;

const IMPORTS: &str = include_str!("wasi.wat");

/// The state machine with all of WASI imported; its time is `function` of `interface`.
fn machine(interface: &str, function: &str) -> Vec<u8> {
    let import = format!("{interface}@0.2.6\" (instance");
    let imports = IMPORTS.replace(&import, &format!("{import} $clock"));
    let text = MACHINE
        .replacen("(component\n", &format!("(component\n{imports}"), 1)
        .replace(
            "(func $environment \"time\")",
            &format!("(func $clock \"{function}\")"),
        );
    component(&text)
}

fn count(machine: Vec<u8>, environment: Environment) -> u64 {
    on_guest_stack(move || {
        let plugin = engine().stage(&machine).unwrap();
        let limits = Limits::default();
        let mut instance = plugin
            .start(&[], &limits, &ENVIRONMENT, None, false)
            .unwrap();
        let outcomes = instance.apply(&environment, &frame(&[b"t"])).unwrap();
        u64::from_le_bytes(outcomes[9..17].try_into().unwrap())
    })
}

#[test]
fn what_toolchains_import_is_there_and_the_clock_shows_the_time_of_the_entry() {
    let later = Environment {
        time: 77_000,
        ..ENVIRONMENT
    };
    assert_eq!(
        count(machine("wasi:clocks/monotonic-clock", "now"), later),
        77_000
    );
}

#[test]
fn random_numbers_come_from_the_entry() {
    for (interface, function) in [
        ("wasi:random/random", "get-random-u64"),
        ("wasi:random/insecure", "get-insecure-random-u64"),
    ] {
        let machine = machine(interface, function);
        let drawn = count(machine.clone(), ENVIRONMENT);
        assert_eq!(count(machine.clone(), ENVIRONMENT), drawn);
        assert_ne!(
            count(
                machine,
                Environment {
                    seed: [8; 32],
                    ..ENVIRONMENT
                }
            ),
            drawn
        );
    }
}
