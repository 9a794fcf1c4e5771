//! Which deliberate bug is on.
//!
//! Coracle's crates hold bugs that were put in on purpose, each behind `mutant!(Name)`. Without
//! their feature `mutants` that is the word `false`, and this crate is not even linked. With it,
//! one program holds all of them, and which one is on is chosen when it runs.

mod list;

use std::sync::atomic::{AtomicU16, Ordering};

pub use list::{Area, Mutant};

/// One more than the position of the mutant that is on; 0: none.
static ACTIVE: AtomicU16 = AtomicU16::new(0);

/// Turns one mutant on and every other off, in the whole process.
pub fn set(mutant: Option<Mutant>) {
    let number = mutant.map_or(0, |mutant| mutant as u16 + 1);
    ACTIVE.store(number, Ordering::SeqCst);
}

/// Whether this mutant is on.
#[inline]
pub fn active(mutant: Mutant) -> bool {
    ACTIVE.load(Ordering::Relaxed) == mutant as u16 + 1
}

/// Whether the mutant of this name is on: `if mutant!(VoteTwice) { ... }`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::active($crate::Mutant::$name)
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_mutant_is_on_at_a_time() {
        assert!(Mutant::ALL.iter().all(|mutant| !active(*mutant)));
        for mutant in Mutant::ALL {
            set(Some(*mutant));
            let on: Vec<_> = Mutant::ALL.iter().filter(|it| active(**it)).collect();
            assert_eq!(on, [mutant]);
        }
        set(None);
        assert!(Mutant::ALL.iter().all(|mutant| !active(*mutant)));
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        let names: BTreeSet<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::named(mutant.name()), Some(*mutant));
        }
        assert_eq!(Mutant::named("no-such-mutant"), None);
    }
}
