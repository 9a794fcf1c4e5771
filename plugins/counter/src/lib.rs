//! The smallest plugin: adds numbers up. `apply counter 5` answers the sum, and so does a query.

use std::io::{BufRead, Write};

use coracle_guest::{Environment, Error, StateMachine, Text, state};

/// The sum of everything added.
#[derive(Debug)]
pub struct Counter(u64);

impl StateMachine for Counter {
    const NAME: &'static str = "counter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Format = Text;
    type Command<'a> = u64;
    type Query<'a> = String;
    type Reply = u64;
    type Answer = u64;
    type Refusal = String;

    fn init(_: &Environment) -> Result<Self, Error> {
        Ok(Self(0))
    }

    fn apply(&mut self, _: &Environment, add: u64) -> Result<u64, String> {
        let sum = self.0.checked_add(add);
        self.0 = sum.ok_or_else(|| format!("{} + {add} is more than 64 bits hold", self.0))?;
        Ok(self.0)
    }

    fn query(&self, _: &Environment, _: String) -> Result<u64, String> {
        Ok(self.0)
    }

    fn snapshot(&self, _: &Environment, sink: &mut impl Write) -> Result<(), Error> {
        state::save(&self.0, sink)
    }

    fn restore(_: &Environment, source: &mut impl BufRead) -> Result<Self, Error> {
        state::load(source).map(Self)
    }
}

coracle_guest::export!(Counter);

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_guest::{TestHost, check_restore};

    #[test]
    fn counter_adds_up() {
        let mut host = TestHost::<Counter>::new().unwrap();
        assert_eq!(host.apply("40"), Ok(b"40".to_vec()));
        assert_eq!(host.apply("2"), Ok(b"42".to_vec()));
        assert_eq!(host.query(""), Ok(b"42".to_vec()));
    }

    #[test]
    fn overflow_and_what_is_no_number_are_refused_and_change_nothing() {
        let mut host = TestHost::<Counter>::new().unwrap();
        host.apply("1").unwrap();
        for refused in ["18446744073709551615", "-1", "one", ""] {
            assert!(host.apply(refused).is_err(), "{refused}");
        }
        assert_eq!(host.query(""), Ok(b"1".to_vec()));
    }

    #[test]
    fn counter_goes_on_after_restore() {
        check_restore::<Counter>(&["3", "4"], &["5", "x", "6"]);
    }
}
