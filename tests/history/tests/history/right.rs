use coracle_history::{History, Outcome, Report, check};

use crate::build::{Build, append, cas, put, read, stale, value};

#[track_caller]
fn passes(history: &History) -> Report {
    check(history).unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    for (index, outcome) in [(1, value("v1")), (2, value("v2"))] {
        let mut it = Build::default();
        it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
        it.command(1, (20, 50), put("v2"), 2, Outcome::Done);
        it.query(2, (30, 40), read(), index, outcome);
        passes(&it.history());
    }
}

#[test]
fn an_unknown_command_that_the_log_has_counts() {
    let mut it = Build::default();
    it.ask(1, 0, put("v1"), Some(1));
    it.ask(1, 20, put("v2"), None);
    it.query(2, (30, 40), read(), 1, value("v1"));
    let report = passes(&it.history());
    assert_eq!((report.unknown, report.resolved), (2, 1));
}

#[test]
fn an_unknown_command_may_happen_long_after_its_client_gave_up() {
    for mut it in [Build::default(), Build::without_log()] {
        it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
        it.ask(2, 20, put("v2"), Some(3));
        it.query(3, (30, 40), read(), 1, value("v1"));
        it.query(3, (50, 60), read(), 3, value("v2"));
        passes(&it.history());
    }
}

#[test]
fn commands_of_one_entry_are_ordered_by_their_answers() {
    let mut it = Build::without_log();
    it.command(1, (0, 10), append("b;"), 1, value("a;b;"));
    it.command(2, (0, 10), append("a;"), 1, value("a;"));
    it.command(3, (0, 10), cas("a;b;", "c"), 1, Outcome::Done);
    it.query(4, (20, 30), read(), 1, value("c"));
    passes(&it.history());
}

#[test]
fn a_retry_with_the_same_answer_and_a_repeat_in_the_log_are_one_effect() {
    let mut it = Build::default();
    let id = it.command(1, (0, 10), append("x;"), 1, value("x;"));
    it.answer(1, id, 40, 1, value("x;"));
    let mut history = it.history();
    let log = history.log.as_mut().unwrap();
    let repeat = coracle_history::Logged {
        index: 2,
        ..log[0].clone()
    };
    log.push(repeat);
    assert_eq!(passes(&history).retries, 1);
}

#[test]
fn a_stale_read_may_be_as_old_as_it_likes_without_a_bound() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
    it.query(2, (90, 100), stale(None, None), 1, value("v1"));
    it.query(2, (110, 120), stale(None, Some(1)), 1, value("v1"));
    passes(&it.history());
}

#[test]
fn any_number_of_reads_may_see_one_index() {
    for mut it in [Build::default(), Build::without_log()] {
        it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
        it.ask(2, 20, put("v2"), None);
        for number in 0..200 {
            let begun = 30 + 2 * number;
            it.query(3, (begun, begun + 1), read(), 1, value("v1"));
        }
        passes(&it.history());
    }
}
