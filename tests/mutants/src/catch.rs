//! A broken rule, whether it is reported or panicked about.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `work` says, or the panic it ends in: an assertion in the product is a test as well.
pub(crate) fn caught(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome,
        Err(panic) => Err(format!("panic: {}", text(&*panic))),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let borrowed = panic.downcast_ref::<&str>().map(ToString::to_string);
    let owned = || panic.downcast_ref::<String>().cloned();
    borrowed
        .or_else(owned)
        .unwrap_or_else(|| "of its own kind".into())
}
