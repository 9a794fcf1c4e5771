//! Progress of long work: a bar when stderr is a terminal, else a line every few seconds.

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::console;

/// Between two lines when stderr is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two moves of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Commands,
}

/// Work whose amount is known or counted.
#[derive(Debug)]
pub(super) struct Progress {
    label: String,
    unit: Unit,
    total: Option<u64>,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines {
        started: Instant,
        last: Mutex<Instant>,
    },
}

impl Progress {
    pub(super) fn new(label: impl Into<String>, unit: Unit, total: Option<u64>) -> Self {
        let label = label.into();
        let shown = if console::is_watched() {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            bar.set_style(style(unit, total.is_some()));
            bar.set_message(label.clone());
            Shown::Bar(bar)
        } else {
            let started = Instant::now();
            Shown::Lines {
                started,
                last: Mutex::new(started),
            }
        };
        Self {
            label,
            unit,
            total,
            shown,
        }
    }

    /// So much is done.
    pub(super) fn set(&self, done: u64) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines { started, last } => {
                // A poisoned lock only means that another thread panicked while it printed.
                let mut last = last.lock().unwrap_or_else(|e| e.into_inner());
                if last.elapsed() >= LINE_INTERVAL {
                    *last = Instant::now();
                    console::say(&line(
                        &self.label,
                        self.unit,
                        done,
                        self.total,
                        started.elapsed(),
                    ));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: Unit, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        (Unit::Bytes, true) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
        (Unit::Bytes, false) => "{msg} {spinner} {bytes} {bytes_per_sec}",
        (Unit::Commands, true) => "{msg} [{bar:30}] {pos}/{len} {per_sec} eta {eta}",
        (Unit::Commands, false) => "{msg} {spinner} {pos} {per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    style
        .expect("invariant: the templates above are valid")
        .progress_chars("=> ")
}

fn line(label: &str, unit: Unit, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let word = match unit {
        Unit::Bytes => "bytes",
        Unit::Commands => "commands",
    };
    let of = total.map_or_else(String::new, |total| {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        format!(" of {total} ({percent} %)")
    });
    format!(
        "{label}: {done}{of} {word} after {}",
        HumanDuration(elapsed)
    )
}

/// Says that something takes its time while it does.
pub(super) async fn during<T>(label: &str, work: impl Future<Output = T>) -> T {
    if console::is_watched() {
        let spinner = ProgressBar::new_spinner().with_message(label.to_owned());
        spinner.enable_steady_tick(TICK);
        let result = work.await;
        spinner.finish_and_clear();
        return result;
    }
    let started = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(LINE_INTERVAL, work.as_mut()).await {
            Ok(result) => return result,
            Err(_) => console::say(&format!("{label}: {}", HumanDuration(started.elapsed()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let second = Duration::from_secs(1);
        let text = line("uploading", Unit::Bytes, 50, Some(200), second);
        assert_eq!(text, "uploading: 50 of 200 (25 %) bytes after 1 second");
        let text = line("applying", Unit::Commands, 7, None, second);
        assert_eq!(text, "applying: 7 commands after 1 second");
        assert!(line("x", Unit::Bytes, 0, Some(0), second).contains("100 %"));
    }
}
