//! All scenarios, one file for each kind of fault.

mod kill; // crashes, alone and together

use crate::scenario::Scenario;

/// Every scenario, in the order in which they are played.
pub const ALL: &[Scenario] = &[kill::LEADER, kill::EVERYONE];

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_different() {
        let mut names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        let plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        assert!(
            names
                .iter()
                .all(|name| !name.is_empty() && name.chars().all(plain))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
