//! What strace wrote of a life: which thread has made how many fsyncs, and what each has come to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{At, Kind, Point};

/// An fsync.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call<'a> {
    kind: Kind,
    file: Option<PathBuf>,
    /// What it has come to, as strace puts it; nothing if the thread has ended in it.
    end: &'a str,
}

/// The fsyncs of one life.
#[derive(Debug, Default)]
pub(super) struct Trace<'a>(BTreeMap<&'a str, Vec<Call<'a>>>);

impl<'a> Trace<'a> {
    /// A call during which another thread had one is written in two lines, of which only the first
    /// names the file and only the second what it came to.
    pub(super) fn read(text: &'a str) -> Self {
        let mut threads: BTreeMap<&str, Vec<Call<'_>>> = BTreeMap::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else {
                continue;
            };
            let calls = threads.entry(thread).or_default();
            let rest = rest.trim_start();
            if let Some((_, end)) = rest.split_once(" resumed>)") {
                if let Some(call) = calls.last_mut() {
                    call.end = result(end);
                }
            } else if let Some((kind, rest)) = begun(rest) {
                let file = rest
                    .split_once('<')
                    .and_then(|(_, rest)| rest.split_once('>'));
                let (_, end) = rest.split_once(')').unwrap_or_default();
                calls.push(Call {
                    kind,
                    file: file.map(|(path, _)| PathBuf::from(path)),
                    end: result(end),
                });
            }
        }
        Self(threads)
    }

    /// Whether it was at this fsync of a thread that it happened.
    ///
    /// # Errors
    /// How many fsyncs there were.
    pub(super) fn happened(&self, at: At, point: Point) -> Result<(), String> {
        let exact = |calls: &Vec<Call<'_>>| {
            let of_kind: Vec<usize> = (0..calls.len())
                .filter(|at| calls[*at].kind == point.kind)
                .collect();
            let hit = index(point.nth).and_then(|nth| of_kind.get(nth).copied());
            hit.is_some_and(|hit| {
                let last = hit + 1 == calls.len();
                match at {
                    At::Before => last && matches!(calls[hit].end, "" | "?"),
                    At::After => last && calls[hit].end.ends_with(DELAYED),
                    At::Error => calls[hit].end.ends_with(INJECTED),
                }
            })
        };
        match self.0.values().any(exact) {
            true => Ok(()),
            false => Err(self.said(&[point])),
        }
    }

    /// What there was, where one of these was wanted.
    pub(super) fn said(&self, wanted: &[Point]) -> String {
        let made = [Kind::Data, Kind::All].map(|kind| (kind.name(), self.counts(kind)));
        format!("wanted {wanted:?}; the threads have made {made:?}")
    }

    /// Whether strace has done something to a call.
    pub(super) fn injected(&self) -> bool {
        let mut calls = self.0.values().flatten();
        calls.any(|call| call.end.ends_with(INJECTED) || call.end.ends_with(DELAYED))
    }

    /// The most fsyncs of a kind that a thread has made.
    pub(super) fn most(&self, kind: Kind) -> u64 {
        self.counts(kind).into_iter().max().unwrap_or(0)
    }

    /// How many fsyncs have come to something.
    pub(super) fn done(&self) -> usize {
        let calls = self.0.values().flatten();
        calls.filter(|call| !call.end.is_empty()).count()
    }

    /// The file whose fsync was made to fail.
    pub(super) fn failed_file(&self) -> Option<PathBuf> {
        let mut calls = self.0.values().flatten();
        calls
            .find(|call| call.end.ends_with(INJECTED))?
            .file
            .clone()
    }

    fn counts(&self, kind: Kind) -> Vec<u64> {
        let of_kind =
            |calls: &Vec<Call<'_>>| calls.iter().filter(|call| call.kind == kind).count() as u64;
        let counts = self.0.values().map(of_kind);
        counts.filter(|count| *count > 0).collect()
    }
}

/// The kind of a call that begins in this line, and what follows its name.
fn begun(line: &str) -> Option<(Kind, &str)> {
    let (name, rest) = line.split_once('(')?;
    let kinds = [Kind::Data, Kind::All].into_iter();
    let mut named = kinds.filter(|kind| kind.name() == name);
    named.next().map(|kind| (kind, rest))
}

/// What strace adds where it has let a call fail, or held it up.
const INJECTED: &str = "(INJECTED)";
const DELAYED: &str = "(DELAYED)";

fn index(point: u64) -> Option<usize> {
    usize::try_from(point.checked_sub(1)?).ok()
}

fn result(end: &str) -> &str {
    let end = end.trim();
    end.strip_prefix("= ").unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_failed_fsync_is_named_in_one_line_or_two() {
        let file = |text| Trace::read(text).failed_file();
        let one = "7 fdatasync(12</d/log/log.redb>) = 0\n\
                   7 fdatasync(13</d/peers.tmp>) = -1 EIO (Input/output error) (INJECTED)\n";
        assert_eq!(file(one), Some("/d/peers.tmp".into()));
        let two = "7 fdatasync(12</d/log/log.redb> <unfinished ...>\n\
                   8 fsync(13</d/peers.tmp>) = 0\n\
                   7 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n";
        assert_eq!(file(two), Some("/d/log/log.redb".into()));
        assert_eq!(file("7 fsync(13</d/peers.tmp>) = 0\n"), None);
    }

    /// The Nth `fsync`; a call of the other kind is not counted with it.
    fn nth(nth: u64) -> Point {
        let kind = Kind::All;
        Point { kind, nth }
    }

    #[test]
    fn a_crash_is_before_an_fsync_only_if_that_is_the_last_and_has_no_result() {
        let at = |text: &str, point| Trace::read(text).happened(At::Before, nth(point)).is_ok();
        let second = "7   fsync(3</d/x>)  = 0\n\
                      8   fdatasync(4</d/y>)  = 0\n\
                      7   fdatasync(4</d/y>)  = 0\n\
                      7   fsync(3</d/x>)  = ?\n\
                      7   +++ killed by SIGKILL +++\n\
                      8   +++ killed by SIGKILL +++\n";
        assert!(at(second, 2));
        assert!(!at(second, 1) && !at(second, 3) && !at("", 1));
        let data = Point {
            kind: Kind::Data,
            nth: 1,
        };
        assert!(Trace::read(second).happened(At::Before, data).is_err());
        let beside = "7 fsync(3</d/x> <unfinished ...>\n\
                      8 fsync(4</d/y>)  = 0\n\
                      7 <... fsync resumed>)  = ?\n";
        assert!(at(beside, 1));
        // Somebody else has killed it, between two of them.
        assert!(!at(
            "7 fsync(3</d/x>) = 0\n7 +++ killed by SIGKILL +++\n",
            1
        ));
    }

    #[test]
    fn a_crash_is_after_an_fsync_only_if_that_was_held_up_and_no_other_followed() {
        let at = |text: &str, point| Trace::read(text).happened(At::After, nth(point)).is_ok();
        let held = "7 fsync(3</d/x>)  = 0\n7 fsync(3</d/x>)  = 0 (DELAYED)\n";
        assert!(at(held, 2) && !at(held, 1));
        assert!(!at(&format!("{held}7 fdatasync(3</d/x>)  = 0\n"), 2));
        assert!(!at("7 fsync(3</d/x>)  = 0\n7 fsync(3</d/x>)  = 0\n", 2));
    }

    #[test]
    fn an_error_is_at_an_fsync_only_if_it_was_injected_there() {
        let text = "7 fsync(3</d/x>) = 0\n\
                    7 fsync(3</d/x>) = -1 EIO (Input/output error) (INJECTED)\n\
                    7 fsync(3</d/x>) = 0\n";
        let trace = Trace::read(text);
        let at = |point| trace.happened(At::Error, nth(point)).is_ok();
        assert!(at(2) && !at(1) && !at(3));
        let most = [Kind::All, Kind::Data].map(|kind| trace.most(kind));
        assert_eq!((most, trace.done(), trace.injected()), ([3, 0], 3, true));
    }
}
