use coracle_history::{History, Outcome, Rule, check, check_search, check_witness};

use crate::build::{Build, append, cas, lease, put, read, stale, value};

/// What each check says.
#[track_caller]
fn refused(history: &History, witness: Option<Rule>, search: Option<Rule>) {
    let rule = |violation: coracle_history::Violation| violation.rule;
    assert_eq!(check_witness(history).err().map(rule), witness, "witness");
    assert_eq!(check_search(history).err().map(rule), search, "search");
    assert_eq!(check(history).err().map(rule), witness.or(search));
}

#[test]
fn a_stale_read_that_says_so_is_refused() {
    for kind in [read(), lease()] {
        let mut it = Build::default();
        it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
        it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
        it.query(2, (40, 50), kind, 1, value("v1"));
        refused(&it.history(), Some(Rule::StaleRead), Some(Rule::NoOrder));
    }
}

#[test]
fn a_stale_read_that_claims_to_be_fresh_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
    it.query(2, (40, 50), read(), 2, value("v1"));
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn a_lost_update_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v0"), 1, Outcome::Done);
    // Both were told that they changed v0.
    it.command(1, (20, 30), cas("v0", "v1"), 2, Outcome::Done);
    it.command(2, (20, 30), cas("v0", "v2"), 3, Outcome::Done);
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn an_answered_write_that_the_log_does_not_have_is_refused() {
    let mut it = Build::default();
    let id = it.ask(1, 0, put("v1"), None);
    it.answer(1, id, 10, 1, Outcome::Done);
    it.query(2, (20, 30), read(), 1, Outcome::Missing);
    refused(&it.history(), Some(Rule::Lost), Some(Rule::Lost));
}

#[test]
fn an_answered_write_that_is_gone_is_refused_without_a_log_too() {
    let mut it = Build::without_log();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.query(2, (20, 30), read(), 1, Outcome::Missing);
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn a_command_applied_twice_is_refused_by_what_it_left() {
    let mut it = Build::default();
    it.command(1, (0, 10), append("x;"), 1, value("x;"));
    it.query(2, (20, 30), read(), 1, value("x;x;"));
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn a_retry_with_another_answer_is_refused() {
    for (index, outcome) in [(2, value("x;x;")), (2, value("x;")), (1, value("y;"))] {
        let mut it = Build::default();
        let id = it.command(1, (0, 10), append("x;"), 1, value("x;"));
        it.answer(1, id, 40, index, outcome);
        let rule = Some(Rule::ExactlyOnce);
        refused(&it.history(), rule, rule);
    }
}

#[test]
fn a_command_without_session_twice_in_the_log_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), append("x;"), 1, value("x;"));
    let mut history = it.history();
    history.operations[0].session = None;
    let log = history.log.as_mut().unwrap();
    log[0].session = None;
    let again = coracle_history::Logged {
        index: 2,
        ..log[0].clone()
    };
    log.push(again);
    let rule = Some(Rule::ExactlyOnce);
    refused(&history, rule, rule);
}

#[test]
fn a_read_from_the_future_is_refused() {
    let mut it = Build::default();
    it.query(2, (0, 10), read(), 1, value("v1"));
    it.command(1, (20, 30), put("v1"), 1, Outcome::Done);
    refused(&it.history(), Some(Rule::Future), Some(Rule::NoOrder));
}

#[test]
fn a_read_that_saw_an_unknown_command_before_it_was_asked_is_refused() {
    let mut it = Build::default();
    it.query(2, (0, 10), read(), 1, value("v1"));
    it.ask(1, 20, put("v1"), Some(1));
    refused(&it.history(), Some(Rule::Future), Some(Rule::NoOrder));
}

#[test]
fn reads_of_two_clients_in_another_order_are_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    // While v2 is on its way, one client sees it, and another one after that does not.
    it.command(1, (20, 90), put("v2"), 2, Outcome::Done);
    it.query(2, (30, 40), read(), 2, value("v2"));
    it.query(3, (50, 60), read(), 1, value("v1"));
    refused(&it.history(), Some(Rule::StaleRead), Some(Rule::NoOrder));
}

#[test]
fn reads_of_two_keys_in_another_order_are_refused_by_the_witness() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    let other = it.ask_of(2, 20, "b", put("w"), Some(2));
    it.answer(2, other, 30, 2, Outcome::Done);
    // Right for the key alone; but the write of b, answered before, is at 2.
    it.query(3, (40, 50), read(), 1, value("v1"));
    refused(&it.history(), Some(Rule::StaleRead), None);
}

#[test]
fn an_unknown_command_that_is_seen_and_then_not_is_refused() {
    let mut it = Build::without_log();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.ask(1, 20, put("v2"), None);
    it.query(2, (30, 40), read(), 2, value("v2"));
    it.query(3, (50, 60), read(), 2, value("v1"));
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn an_unknown_command_that_is_seen_but_not_in_the_log_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.ask(1, 20, put("v2"), None);
    it.query(2, (30, 40), read(), 1, value("v2"));
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn a_command_called_not_applied_that_happened_is_refused() {
    let mut it = Build::default();
    let id = it.ask(1, 0, put("v1"), Some(1));
    it.not_applied(1, id);
    let rule = Some(Rule::NotApplied);
    refused(&it.history(), rule, rule);

    let mut it = Build::without_log();
    let id = it.ask(1, 0, put("v1"), None);
    it.not_applied(1, id);
    it.query(2, (20, 30), read(), 1, value("v1"));
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}

#[test]
fn a_command_before_what_was_answered_before_it_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 2, Outcome::Done);
    it.command(2, (20, 30), put("v2"), 1, Outcome::Done);
    refused(&it.history(), Some(Rule::RealTime), None);
}

#[test]
fn a_command_of_an_entry_that_was_answered_before_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(2, (20, 30), put("v2"), 1, Outcome::Done);
    refused(&it.history(), Some(Rule::RealTime), None);
}

#[test]
fn a_command_that_nobody_asked_for_is_refused() {
    let mut it = Build::default();
    it.log(1, None, "put a v1");
    let rule = Some(Rule::Unasked);
    refused(&it.history(), rule, rule);
}

#[test]
fn an_answer_that_names_another_index_is_refused() {
    let mut it = Build::default();
    let id = it.ask(1, 0, put("v1"), Some(1));
    it.answer(1, id, 10, 2, Outcome::Done);
    let rule = Some(Rule::Lost);
    refused(&it.history(), rule, rule);
}

#[test]
fn a_stale_read_older_than_its_bound_is_refused() {
    let build = |bound| {
        let mut it = Build::default();
        it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
        it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
        it.query(2, (100, 110), stale(Some(bound), None), 1, value("v1"));
        it.history()
    };
    refused(&build(69), Some(Rule::TooStale), None);
    refused(&build(70), None, None);
}

#[test]
fn a_stale_read_that_goes_back_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
    it.query(2, (40, 50), stale(None, Some(2)), 1, value("v1"));
    refused(&it.history(), Some(Rule::WentBack), None);
}

#[test]
fn a_stale_read_of_what_never_was_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
    it.query(2, (40, 50), stale(None, None), 1, value("v2"));
    refused(&it.history(), Some(Rule::Value), None);
}

#[test]
fn a_stale_read_from_the_future_is_refused() {
    let mut it = Build::default();
    it.query(2, (0, 10), stale(None, None), 1, value("v1"));
    it.command(1, (20, 30), put("v1"), 1, Outcome::Done);
    refused(&it.history(), Some(Rule::Future), None);
}

#[test]
fn queries_at_one_index_that_differ_are_refused() {
    let mut it = Build::without_log();
    it.command(1, (0, 90), put("v1"), 1, Outcome::Done);
    it.ask(3, 0, put("v2"), None);
    it.query(2, (10, 20), read(), 1, value("v1"));
    it.query(2, (30, 40), read(), 1, value("v2"));
    refused(&it.history(), Some(Rule::Value), None);
}

#[test]
fn a_search_that_cannot_end_is_undecided_and_no_pass() {
    // A value that nobody wrote, after more unknown appends than orders can be tried.
    let mut it = Build::without_log();
    for client in 0..14 {
        it.ask(client, 0, append(&format!("{client};")), None);
    }
    it.query(20, (10, 20), read(), 1, value("what is this"));
    let rule = Some(Rule::Undecided);
    refused(&it.history(), rule, rule);

    let mut it = Build::without_log();
    for client in 0..70 {
        it.ask(client, 0, put(&format!("v{client}")), None);
    }
    refused(&it.history(), rule, rule);
}

#[test]
fn a_history_that_makes_no_sense_is_refused() {
    let good = || {
        let mut it = Build::default();
        it.command(1, (5, 10), put("v1"), 1, Outcome::Done);
        it.query(1, (20, 30), read(), 1, value("v1"));
        it.history()
    };
    let rule = Some(Rule::Malformed);
    let mut same_id = good();
    same_id.operations[1].id = same_id.operations[0].id;
    refused(&same_id, rule, rule);
    let mut too_soon = good();
    too_soon.operations[0].replies[0].at = 4;
    refused(&too_soon, rule, rule);
    let mut another_body = good();
    another_body.log.as_mut().unwrap()[0].body = "put a v2".into();
    refused(&another_body, rule, rule);
    let mut two_answers = good();
    let reply = two_answers.operations[1].replies[0].clone();
    two_answers.operations[1].replies.push(reply);
    refused(&two_answers, rule, rule);
}

#[test]
fn one_of_many_reads_at_an_index_that_saw_something_else_is_refused() {
    let mut it = Build::default();
    it.command(1, (0, 10), put("v1"), 1, Outcome::Done);
    it.command(1, (20, 30), put("v2"), 2, Outcome::Done);
    for number in 0..200 {
        let begun = 40 + 2 * number;
        let seen = if number == 150 { "v1" } else { "v2" };
        it.query(2, (begun, begun + 1), read(), 2, value(seen));
    }
    refused(&it.history(), Some(Rule::Value), Some(Rule::NoOrder));
}
