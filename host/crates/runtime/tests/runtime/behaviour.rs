use coracle_runtime::{Environment, Limits, Reply};

use super::*;

fn counter(instance: &mut Instance) -> u64 {
    match instance.query(&ENVIRONMENT, b"g").unwrap() {
        Reply::Ok(bytes) => u64::from_le_bytes(bytes.try_into().unwrap()),
        Reply::Refused(why) => panic!("refused: {why:?}"),
    }
}

#[test]
fn group_of_commands_is_applied_and_answered_in_order() {
    on_guest_stack(|| {
        let mut instance = start("").unwrap();
        let outcomes = instance
            .apply(&ENVIRONMENT, &frame(&[b"a", b"no", b"abc"]))
            .unwrap();
        let mut expected = 3u32.to_le_bytes().to_vec();
        for (status, count) in [(0u8, 1u64), (1, 1), (0, 2)] {
            expected.push(status);
            expected.extend(8u32.to_le_bytes());
            expected.extend(count.to_le_bytes());
        }
        assert_eq!(outcomes, expected);
        assert_eq!(counter(&mut instance), 2);
    });
}

#[test]
fn snapshot_restores_into_another_instance_however_the_source_is_cut() {
    on_guest_stack(|| {
        let mut first = start("").unwrap();
        first.apply(&ENVIRONMENT, &frame(&[b"a", b"a"])).unwrap();
        let mut state = Bytes::default();
        first.snapshot(&ENVIRONMENT, &mut state).unwrap();
        for piece in [1, 3, 8] {
            let mut source = Pieces(state.0.clone(), piece);
            let mut second = start_limited("", &Limits::default(), Some(&mut source)).unwrap();
            assert_eq!(counter(&mut second), 2);
        }
        assert_eq!(counter(&mut first), 2, "the instance goes on");
    });
}

#[test]
fn guest_refuses_init_restore_snapshot_and_query_in_its_own_words() {
    on_guest_stack(|| {
        let refused = |fault| matches!(fault, Fault::Refused(why) if why == b"refused");
        assert!(refused(start("e").unwrap_err()));
        let mut short = Pieces(vec![1, 2], 8);
        assert!(refused(
            start_limited("", &Limits::default(), Some(&mut short)).unwrap_err()
        ));
        let mut instance = start("r").unwrap();
        assert!(refused(
            instance
                .snapshot(&ENVIRONMENT, &mut Bytes::default())
                .unwrap_err()
        ));
        let answer = instance.query(&ENVIRONMENT, b"?").unwrap();
        assert_eq!(
            answer,
            Reply::Refused(b"refused".to_vec()),
            "a refusal does not poison"
        );
    });
}

#[test]
fn two_instances_agree_in_replies_and_fuel() {
    on_guest_stack(|| {
        let (mut a, mut b) = (start("").unwrap(), start("").unwrap());
        for index in 1..20u64 {
            let environment = Environment {
                index,
                time: index * 7,
                seed: [index as u8; 32],
            };
            let commands: Vec<&[u8]> = vec![b"R", b"t", b"W", b"n"];
            let frame = frame(&commands[..1 + index as usize % 4]);
            assert_eq!(
                a.apply(&environment, &frame).unwrap(),
                b.apply(&environment, &frame).unwrap()
            );
            assert_eq!(a.fuel_used(), b.fuel_used());
        }
        assert!(a.fuel_used() > 0);
    });
}

#[test]
fn twin_with_slack_uses_the_same_fuel() {
    on_guest_stack(|| {
        let mut live = start("").unwrap();
        let mut twin = plugin()
            .start(&[], &Limits::default(), &ENVIRONMENT, None, true)
            .unwrap();
        let frame = frame(&[b"a", b"R"]);
        assert_eq!(
            live.apply(&ENVIRONMENT, &frame).unwrap(),
            twin.apply(&ENVIRONMENT, &frame).unwrap()
        );
        assert_eq!(live.fuel_used(), twin.fuel_used());
    });
}

#[test]
fn environment_is_that_of_the_call_and_queries_are_not_random() {
    on_guest_stack(|| {
        let mut instance = start("").unwrap();
        let ask = |instance: &mut Instance, environment: &Environment, what: &[u8]| match instance
            .query(environment, what)
            .unwrap()
        {
            Reply::Ok(bytes) => bytes,
            Reply::Refused(why) => panic!("refused: {why:?}"),
        };
        let later = Environment {
            index: 6,
            time: 2_000,
            seed: [1; 32],
        };
        assert_eq!(ask(&mut instance, &later, b"t"), 2_000u64.to_le_bytes());
        let random = ask(&mut instance, &ENVIRONMENT, b"r");
        assert_eq!(ask(&mut instance, &later, b"r"), random);
    });
}

#[test]
fn commands_of_one_entry_applied_one_by_one_draw_different_bytes() {
    on_guest_stack(|| {
        let mut instance = start("").unwrap();
        let first = instance.apply(&ENVIRONMENT, &frame(&[b"R"])).unwrap();
        let before = counter(&mut instance);
        instance.apply(&ENVIRONMENT, &frame(&[b"R"])).unwrap();
        let second = counter(&mut instance).wrapping_sub(before);
        assert_ne!(first[9..17], second.to_le_bytes());
    });
}

#[test]
fn empty_group_is_answered_with_no_outcomes() {
    on_guest_stack(|| {
        assert_eq!(
            start("").unwrap().apply(&ENVIRONMENT, &frame(&[])).unwrap(),
            [0; 4]
        );
    });
}
