//! Why a node has to stop. Raised when something that it cannot do without has failed.

use std::thread;

use tokio::sync::watch;

/// Raised once; the first reason stays.
#[derive(Debug, Clone)]
pub(super) struct Alarm(watch::Sender<Option<String>>);

/// Raises the alarm if the thread that holds it panics.
#[derive(Debug)]
pub(super) struct Guard(Alarm);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Stops the node for a reason that its operator must know.
    pub(super) fn raise(&self, reason: String) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            if first {
                *raised = Some(reason);
            }
            first
        });
    }

    pub(super) fn is_raised(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it is raised; says why.
    pub(super) async fn raised(&self) -> Option<String> {
        let mut raised = self.0.subscribe();
        let reason = raised.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone())
    }

    /// For a thread without which the node would live on and do nothing.
    pub(super) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let thread = thread::current();
        if thread::panicking() {
            let name = thread.name().unwrap_or("unnamed");
            self.0
                .raise(format!("the thread `{name}` panicked: this is a bug"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_raises_it_and_the_first_reason_stays() {
        let alarm = Alarm::new();
        for name in ["first", "second"] {
            let guard = alarm.guard();
            let thread = thread::Builder::new().name(name.to_owned());
            let panics = move || {
                let _guard = guard;
                std::panic::resume_unwind(Box::new("no message"));
            };
            assert!(thread.spawn(panics).unwrap().join().is_err());
        }
        drop(alarm.guard());

        let reason = alarm.0.borrow().clone().unwrap();
        assert!(reason.contains("`first` panicked"), "{reason}");
    }
}
