//! Searching slices of what the core can do, each to its end.

use crate::{
    runs::{Failure, step},
    workspace::model,
};

/// `model [SLICE ...]`: optimised, since it is about millions of states.
pub(crate) fn search(arguments: &[String]) -> Result<(), Failure> {
    let mut run = model("run --quiet --release --")?;
    run.args(arguments);
    step("searching slices of what the core can do", &mut run)
}

/// Every slice, and whether bugs put in are found.
pub(crate) fn test() -> Result<(), Failure> {
    search(&[])?;
    step(
        "searching slices with bugs put in",
        &mut model("test --quiet --release")?,
    )
}
