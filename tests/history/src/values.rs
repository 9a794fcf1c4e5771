//! Values as numbers, so that states are cheap to compare and to keep.

use std::collections::BTreeMap;

use crate::{Action, Outcome};

/// What a key has: 0 for no value.
pub(crate) type State = u32;

/// No value.
pub(crate) const MISSING: State = 0;

/// The values that were met.
#[derive(Debug, Default)]
pub(crate) struct Values {
    numbers: BTreeMap<String, State>,
    texts: Vec<String>,
}

impl Values {
    /// The text of a state.
    pub(crate) fn text(&self, state: State) -> Option<&str> {
        let number = state.checked_sub(1)?;
        self.texts.get(number as usize).map(String::as_str)
    }

    /// The state after an action that was answered like this (`None`: nobody knows). `None`: it
    /// would have been answered otherwise.
    pub(crate) fn step(
        &mut self,
        state: State,
        action: &Action,
        answered: Option<&Outcome>,
    ) -> Option<State> {
        let results = action.apply(self.text(state));
        if answered.is_some_and(|answered| *answered != results.outcome) {
            return None;
        }
        Some(match results.value {
            None => MISSING,
            Some(value) => self.number(value),
        })
    }

    fn number(&mut self, value: String) -> State {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        self.texts.push(value.clone());
        let number = self.texts.len() as State;
        self.numbers.insert(value, number);
        number
    }

    /// States for people.
    pub(crate) fn show(&self, states: impl Iterator<Item = State>) -> String {
        let all: std::collections::BTreeSet<_> = states.collect();
        let all = all.into_iter().map(|state| match self.text(state) {
            None => "nothing".into(),
            Some(text) => format!("`{text}`"),
        });
        all.collect::<Vec<_>>().join(" or ")
    }
}
