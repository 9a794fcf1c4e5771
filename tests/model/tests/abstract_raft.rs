//! The specification that judges traces is searched itself.

use coracle_model::AbstractRaft;
use stateright::{Checker, Model};

const SMALL: AbstractRaft = AbstractRaft {
    voters: 3,
    terms: 2,
    entries: 2,
    installs: 1,
    split: false,
};

#[test]
fn the_rules_keep_what_is_committed() {
    let checker = SMALL.checker().spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn a_replica_that_believes_to_be_alone_breaks_them() {
    let split = AbstractRaft {
        split: true,
        ..SMALL
    };
    let checker = split.checker().spawn_bfs().join();
    checker.assert_any_discovery("the rules keep what is committed");
}
