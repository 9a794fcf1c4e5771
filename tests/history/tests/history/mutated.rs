use coracle_history::{History, Outcome, Rule, check, check_search, check_witness};

use crate::generate::{Shape, generate};
use crate::naive::has_order;
use crate::random::Random;

const LARGE: Shape = Shape {
    clients: 8,
    operations: 400,
    keys: 3,
    unknown: 8,
};

/// So few that all orders can be tried.
const SMALL: Shape = Shape {
    clients: 4,
    operations: 7,
    keys: 1,
    unknown: 15,
};

#[test]
fn what_a_register_shows_passes() {
    for seed in 0..150 {
        let history = generate(seed, LARGE);
        let report = check(&history).unwrap_or_else(|it| panic!("seed {seed}: {it}"));
        assert!(report.answered > 300 && report.resolved > 0, "{report:?}");
    }
}

#[test]
fn what_a_register_shows_passes_without_the_log() {
    let shape = Shape {
        unknown: 1,
        ..LARGE
    };
    for seed in 0..150 {
        let history = History {
            log: None,
            ..generate(seed, shape)
        };
        check(&history).unwrap_or_else(|it| panic!("seed {seed}: {it}"));
    }
}

#[test]
fn no_answer_can_be_changed_unnoticed() {
    let mut found_by_search = 0;
    for seed in 0..300 {
        let mut history = generate(seed, LARGE);
        let changed = change_an_answer(&mut history, &mut Random(seed));

        let violation = check_witness(&history).expect_err("an answer was changed");

        assert_eq!(violation.rule, Rule::Value, "seed {seed}: {violation}");
        assert!(violation.operations.contains(&changed), "{violation}");
        found_by_search += u64::from(check_search(&history).is_err());
    }
    // It is not told the order, so that some changes are of no account to it.
    assert!(found_by_search > 200, "only {found_by_search} of 300");
}

/// Gives an operation the answer of another one; its id.
fn change_an_answer(history: &mut History, random: &mut Random) -> u64 {
    loop {
        let pick = |random: &mut Random| random.below(history.operations.len() as u64) as usize;
        let (to, from) = (pick(random), pick(random));
        let outcome = match history.operations[from].replies.first() {
            Some(reply) => reply.outcome.clone(),
            None => Outcome::Missing,
        };
        let operation = &mut history.operations[to];
        if operation
            .replies
            .iter()
            .any(|reply| reply.outcome != outcome)
        {
            for reply in &mut operation.replies {
                reply.outcome = outcome.clone();
            }
            return operation.id;
        }
    }
}

#[test]
fn no_command_of_the_log_can_be_dropped_moved_or_repeated_unnoticed() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut history = generate(seed, LARGE);
        let answered = |history: &History, position: usize| {
            let session = history.log.as_ref().and_then(|log| log[position].session);
            let of = |it: &&coracle_history::Operation| it.session == session;
            let operation = history.operations.iter().find(of);
            operation.is_some_and(|it| !it.replies.is_empty())
        };
        let position = loop {
            let length = history.log.as_ref().map_or(0, Vec::len);
            let position = random.below(length as u64) as usize;
            if answered(&history, position) {
                break position;
            }
        };
        let log = history.log.as_mut().unwrap();
        let rule = match random.below(3) {
            0 => {
                log.remove(position);
                Rule::Lost
            }
            1 => {
                log[position].index += 1000;
                Rule::Lost
            }
            _ => {
                log[position].session = None;
                Rule::Unasked
            }
        };
        let violation = check(&history).expect_err("the log was changed");
        assert_eq!(violation.rule, rule, "seed {seed}: {violation}");
    }
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let (mut orders, mut none) = (0, 0);
    for seed in 0..4000 {
        let mut random = Random(seed);
        let mut history = generate(seed, SMALL);
        history.log = None;
        for _ in 0..random.below(3) {
            disturb(&mut history, &mut random);
        }

        let naive = has_order(&history);

        let search = check_search(&history);
        assert_eq!(
            search.is_ok(),
            naive,
            "seed {seed}: {search:?} {history:#?}"
        );
        match naive {
            true => orders += 1,
            false => none += 1,
        }
    }
    assert!(orders > 1000 && none > 500, "{orders} and {none}");
}

/// Changes an answer, or when one was asked or answered.
fn disturb(history: &mut History, random: &mut Random) {
    let chosen = random.below(history.operations.len() as u64) as usize;
    if random.chance(50) {
        let other = random.below(history.operations.len() as u64) as usize;
        let reply = history.operations[other].replies.first().cloned();
        let operation = &mut history.operations[chosen];
        for own in &mut operation.replies {
            if let Some(reply) = &reply {
                own.outcome = reply.outcome.clone();
            }
        }
        return;
    }
    let operation = &mut history.operations[chosen];
    let earlier = random.below(10);
    for reply in &mut operation.replies {
        reply.at = reply.at.saturating_sub(earlier).max(operation.invoked);
    }
}

#[test]
fn with_the_log_forgotten_the_witness_accepts_no_less() {
    for seed in 0..1000 {
        let mut random = Random(seed);
        let mut history = generate(seed, SMALL);
        for _ in 0..random.below(3) {
            disturb(&mut history, &mut random);
        }
        let with_log = check_witness(&history).is_ok();
        history.log = None;
        let without = check_witness(&history);
        assert!(!with_log || without.is_ok(), "seed {seed}: {without:?}");
    }
}
