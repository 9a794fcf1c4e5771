//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen within a second or two: machines are
/// slow and noisy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Waits until `look` gives a value.
///
/// # Panics
/// After a minute, with `what` and the last reason it gave.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    eventually_for(PATIENCE, what, look)
}

/// Like [`eventually`], with another patience.
///
/// # Panics
/// After `patience`, with `what` and the last reason it gave.
pub fn eventually_for<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > patience => {
                panic!("waited {patience:?} for {what}: {reason}")
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
