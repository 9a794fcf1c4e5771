//! Runs that the process would not survive: on a damaged log redb may panic while it unwinds from a
//! panic, and Rust ends the process then. A node would be dead, which is safe; a sweep goes on.

use std::cell::{Cell, RefCell};
use std::panic::{self, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::invariants::{Violation, violated};

/// Stack of a run.
const STACK_BYTES: usize = 16 << 20;

thread_local! {
    /// To be told that this thread is stuck in a panic for ever.
    static STUCK: RefCell<Option<Sender<CutShort>>> = const { RefCell::new(None) };

    /// Whether a disk of the run on this thread was given a fault.
    static HARMED: Cell<bool> = const { Cell::new(false) };
}

/// A run that the log's engine would have ended, and the process with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cut short by the log's engine, which would have ended a node")]
pub struct CutShort {
    harmed: bool,
}

impl CutShort {
    /// Nothing, if a disk had been given a fault by then; the engine must survive everything else.
    pub fn explained(self) -> Result<(), Violation> {
        match self.harmed {
            true => Ok(()),
            false => violated("no panic", "the log's engine panics on sound disks"),
        }
    }
}

/// A run begins on this thread, or a disk of it is given a fault.
pub(crate) fn set_harmed(harmed: bool) {
    HARMED.set(harmed);
}

/// Silences panics, which are caught and judged, and parks the thread of a run that cannot go on.
pub fn prepare(silent: bool) {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !silent {
            told(panic);
        }
        if !coracle_log::engine_cannot_unwind() {
            return;
        }
        let harmed = HARMED.get();
        if let Some(stuck) = STUCK.take()
            && stuck.send(CutShort { harmed }).is_ok()
        {
            loop {
                thread::park();
            }
        }
    }));
}

/// What comes of the work, on a thread of its own, unless redb would have ended the process.
pub fn survive<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CutShort> {
    let (stuck, ended) = channel();
    let run = move || {
        STUCK.set(Some(stuck));
        work()
    };
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    let thread = thread.expect("the system has room for one more thread");
    match ended.recv() {
        Ok(cut_short) => Err(cut_short),
        // The thread has ended, and with it what would have told.
        Err(_) => Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_cut_short_is_explained_by_a_fault_of_a_disk_and_by_nothing_else() {
        assert_eq!(CutShort { harmed: true }.explained(), Ok(()));
        let violation = CutShort { harmed: false }.explained().unwrap_err();
        assert_eq!(violation.invariant, "no panic");
    }
}
