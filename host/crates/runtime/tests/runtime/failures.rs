use coracle_runtime::Limits;

use super::*;

fn failure(command: &[u8]) -> FailureClass {
    let command = command.to_vec();
    on_guest_stack(move || {
        let mut instance = start("").unwrap();
        instance.apply(&ENVIRONMENT, &frame(&[b"a"])).unwrap();
        let failed = class(instance.apply(&ENVIRONMENT, &frame(&[&command])));
        let after = instance.apply(&ENVIRONMENT, &frame(&[b"a"]));
        assert!(
            matches!(after, Err(Fault::Host(_))),
            "a failure poisons: {after:?}"
        );
        failed
    })
}

#[test]
fn panic_is_a_trap() {
    assert_eq!(failure(b"p"), FailureClass::Trap);
}

#[test]
fn division_by_zero_is_a_trap() {
    assert_eq!(failure(b"z"), FailureClass::Trap);
}

#[test]
fn endless_loop_runs_out_of_fuel() {
    assert_eq!(failure(b"s"), FailureClass::Fuel);
}

#[test]
fn endless_calls_of_imports_run_out_of_fuel() {
    assert_eq!(failure(b"l"), FailureClass::Fuel);
    assert_eq!(failure(b"h"), FailureClass::Fuel);
}

#[test]
fn endless_allocation_meets_the_memory_limit() {
    assert_eq!(failure(b"m"), FailureClass::Memory);
}

#[test]
fn recursion_without_a_frame_trips_the_depth_counter() {
    assert_eq!(failure(b"r"), FailureClass::Stack);
}

#[test]
fn recursion_with_frames_in_linear_memory_is_told_from_a_stray_pointer() {
    assert_eq!(failure(b"f"), FailureClass::Stack);
}

#[test]
fn recursion_with_live_values_trips_the_depth_counter() {
    assert_eq!(failure(b"w"), FailureClass::Stack);
}

#[test]
fn giant_reply_is_a_bad_result() {
    assert_eq!(failure(b"g"), FailureClass::BadResult);
}

#[test]
fn reply_out_of_bounds_is_a_bad_result() {
    assert_eq!(failure(b"b"), FailureClass::BadResult);
}

#[test]
fn miscounted_outcomes_are_a_bad_result() {
    assert_eq!(failure(b"c"), FailureClass::BadResult);
}

#[test]
fn malformed_frame_is_the_hosts_fault_and_harms_nothing() {
    on_guest_stack(|| {
        let mut instance = start("").unwrap();
        assert!(matches!(
            instance.apply(&ENVIRONMENT, &[1, 0]),
            Err(Fault::Host(_))
        ));
        assert!(instance.apply(&ENVIRONMENT, &frame(&[b"a"])).is_ok());
    });
}

#[test]
fn failing_queries_have_their_class() {
    for (request, expected) in [
        (b"p", FailureClass::Trap),
        (b"s", FailureClass::Fuel),
        (b"b", FailureClass::BadResult),
    ] {
        on_guest_stack(move || {
            let mut instance = start("").unwrap();
            assert_eq!(class(instance.query(&ENVIRONMENT, request)), expected);
        });
    }
}

#[test]
fn start_that_spins_runs_out_of_fuel() {
    let limits = Limits {
        start_fuel: 1_000_000,
        ..Limits::default()
    };
    assert_eq!(
        on_guest_stack(move || class(start_limited("s", &limits, None))),
        FailureClass::Fuel
    );
}

#[test]
fn initial_memory_beyond_the_limit_is_a_failure_of_memory() {
    let limits = Limits {
        memory_bytes: 65_536,
        ..Limits::default()
    };
    assert_eq!(
        on_guest_stack(move || class(start_limited("", &limits, None))),
        FailureClass::Memory
    );
}

#[test]
fn snapshot_that_traps_or_never_ends_fails() {
    on_guest_stack(|| {
        let mut trapping = start("t").unwrap();
        assert_eq!(
            class(trapping.snapshot(&ENVIRONMENT, &mut Bytes::default())),
            FailureClass::Trap
        );
        let limits = Limits {
            snapshot_bytes: 1 << 20,
            ..Limits::default()
        };
        let mut endless = start_limited("x", &limits, None).unwrap();
        let mut state = Bytes::default();
        assert_eq!(
            class(endless.snapshot(&ENVIRONMENT, &mut state)),
            FailureClass::BadResult
        );
        assert_eq!(state.0.len(), 1 << 20);
    });
}

#[test]
fn restore_that_traps_fails() {
    on_guest_stack(|| {
        let mut source = Pieces(vec![0; 8], 8);
        let restored = start_limited("y", &Limits::default(), Some(&mut source));
        assert_eq!(class(restored), FailureClass::Trap);
    });
}

#[test]
fn failing_sink_or_source_is_the_hosts_fault() {
    on_guest_stack(|| {
        let mut instance = start("").unwrap();
        let written = instance.snapshot(&ENVIRONMENT, &mut Broken);
        assert!(matches!(written, Err(Fault::Host(why)) if why == "disk full"));
        let restored = start_limited("", &Limits::default(), Some(&mut Broken));
        assert!(matches!(restored, Err(Fault::Host(why)) if why == "bad checksum"));
    });
}

#[test]
fn sink_kept_after_its_call_is_of_no_use() {
    on_guest_stack(|| {
        let mut instance = start("k").unwrap();
        instance
            .snapshot(&ENVIRONMENT, &mut Bytes::default())
            .unwrap();
        assert_eq!(
            class(instance.apply(&ENVIRONMENT, &frame(&[b"k"]))),
            FailureClass::Trap
        );
    });
}

#[test]
fn recursion_with_hundreds_of_live_values_trips_the_depth_counter() {
    const VALUES: usize = 400;
    let body = format!(
        "{} (call $bare (local.get $n)) {}",
        (0..VALUES)
            .map(|i| format!("(i32.load (i32.const {})) ", 4096 + 4 * i))
            .collect::<String>(),
        "i32.xor ".repeat(VALUES),
    );
    let bare = "(i32.add (i32.const 1) (call $bare (i32.add (local.get $n) (i32.const 1))))";
    assert!(MACHINE.contains(bare));
    let machine = component(&MACHINE.replace(bare, &body));
    on_guest_stack(move || {
        let plugin = engine().stage(&machine).unwrap();
        let limits = Limits::default();
        let mut instance = plugin
            .start(&[], &limits, &ENVIRONMENT, None, false)
            .unwrap();
        assert_eq!(
            class(instance.apply(&ENVIRONMENT, &frame(&[b"r"]))),
            FailureClass::Stack
        );
    });
}
