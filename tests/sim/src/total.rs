//! Sums over seeds, as a sweep prints them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::marks::MARKS;
use crate::world::Summary;

/// Nanoseconds in an hour.
const HOUR: f64 = 3600e9;

/// Sums over seeds.
#[derive(Debug, Default)]
pub struct Total {
    seeds: u64,
    cut_short: u64,
    time: u64,
    delivered: u64,
    commits: u64,
    committed: u64,
    operations: u64,
    counts: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
}

impl Total {
    /// One more run.
    pub fn add(&mut self, summary: &Summary) {
        self.seeds += 1;
        self.time += summary.time;
        self.delivered += summary.delivered;
        self.commits += summary.commits;
        self.committed += summary.committed;
        self.operations += summary.operations;
        for (what, count) in &summary.faults {
            *self.faults.entry(what).or_default() += count;
        }
        for (what, count) in &summary.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// One more run, which the log's engine has cut short.
    pub fn cut_short(&mut self) {
        self.seeds += 1;
        self.cut_short += 1;
    }

    /// Runs that came to their end.
    pub fn judged(&self) -> u64 {
        self.seeds - self.cut_short
    }

    /// The sums in one line.
    pub fn line(&self, elapsed: Duration) -> String {
        let hours = self.time as f64 / HOUR;
        let seconds = elapsed.as_secs_f64();
        let rate = self.delivered as f64 / seconds.max(0.001);
        let faults: u64 = self.faults.values().sum();
        format!(
            "{} seeds ({} cut short by the log's engine), {hours:.2} h simulated, {faults} faults, {} messages ({rate:.0}/s), {} commits, \
             {} entries, {} operations in {seconds:.1} s",
            self.seeds,
            self.cut_short,
            self.delivered,
            self.commits,
            self.committed,
            self.operations
        )
    }

    /// Faults by kind, and what they led to, one line each.
    pub fn figures(&self) -> String {
        let mut text = String::new();
        for (title, counts) in [("faults", &self.faults), ("counts", &self.counts)] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{title}:");
            for (what, count) in counts {
                let _ = writeln!(text, "{count:9} {what}");
            }
        }
        text
    }

    /// Marks that were never hit.
    pub fn missed(&self) -> Vec<&'static str> {
        let marks = MARKS.iter().copied();
        marks
            .filter(|mark| !self.counts.contains_key(mark))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that has reached these.
    fn reached(counts: &[&'static str]) -> Summary {
        Summary {
            digest: 0,
            events: 1,
            time: 1,
            committed: 1,
            operations: 1,
            counts: counts.iter().map(|what| (*what, 1)).collect(),
            faults: BTreeMap::new(),
            delivered: 1,
            commits: 1,
        }
    }

    #[test]
    fn a_mark_is_missed_until_one_of_the_runs_has_hit_it() {
        let (last, others) = MARKS.split_last().unwrap();
        let mut total = Total::default();
        assert_eq!(total.missed(), MARKS);
        total.add(&reached(others));
        assert_eq!(total.missed(), [*last]);
        total.add(&reached(&[*last]));
        assert!(total.missed().is_empty());
    }

    #[test]
    fn runs_that_were_cut_short_are_counted_and_not_judged() {
        let mut total = Total::default();
        total.cut_short();
        assert_eq!(total.judged(), 0);
        total.add(&reached(&[]));
        assert_eq!(total.judged(), 1);
        let line = total.line(Duration::from_secs(1));
        assert!(line.starts_with("2 seeds (1 cut short"), "{line}");
    }
}
