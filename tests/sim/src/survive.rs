//! Runs that the process would not survive: on a damaged log redb may panic while it unwinds from a
//! panic, and Rust ends the process then. A node would be dead, which is safe; a sweep goes on.

use std::cell::RefCell;
use std::panic::{self, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// Stack of a run.
const STACK_BYTES: usize = 16 << 20;

thread_local! {
    /// To be told that this thread is stuck in a panic for ever.
    static STUCK: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
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
        if let Some(stuck) = STUCK.take()
            && stuck.send(()).is_ok()
        {
            loop {
                thread::park();
            }
        }
    }));
}

/// What comes of the work, on a thread of its own; `None` if redb would have ended the process.
pub fn survive<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (stuck, ended) = channel();
    let run = move || {
        STUCK.set(Some(stuck));
        work()
    };
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    let thread = thread.expect("the system has room for one more thread");
    match ended.recv() {
        Ok(()) => None,
        // The thread has ended, and with it what would have told.
        Err(_) => Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic))),
    }
}
