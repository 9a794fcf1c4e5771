//! Deliberate bugs, `if mutant!(Name)`: always off but in the build that tests the tests.

#[cfg(feature = "mutants")]
pub(crate) use coracle_switch::mutant;

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}
#[cfg(not(feature = "mutants"))]
pub(crate) use mutant;
