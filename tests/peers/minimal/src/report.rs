//! The table: medians, and how they stand to one another.

use std::collections::BTreeMap;
use std::fmt;

use crate::Subject;

/// Rates by clients and subject.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rates: BTreeMap<u64, BTreeMap<Subject, Vec<f64>>>,
}

impl Report {
    pub(crate) fn add(&mut self, subject: Subject, clients: u64, rate: f64) {
        let of_clients = self.rates.entry(clients).or_default();
        of_clients.entry(subject).or_default().push(rate);
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "commands/s, median of the rounds")?;
        writeln!(
            f,
            "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "clients", "coracle", "openraft", "raft", "/openraft", "/raft"
        )?;
        for (clients, subjects) in &self.rates {
            let rate = |subject| subjects.get(&subject).map(|rates| median(rates));
            let number = |rate: Option<f64>| rate.map_or("-".into(), |rate| format!("{rate:.0}"));
            let own = rate(Subject::Coracle);
            let ratio = |other: Option<f64>| match (own, other) {
                (Some(own), Some(other)) => format!("{:.2}", own / other),
                _ => "-".into(),
            };
            let (openraft, raft) = (rate(Subject::Openraft), rate(Subject::Raft));
            writeln!(
                f,
                "{clients:>8} {:>10} {:>10} {:>10} {:>10} {:>10}",
                number(own),
                number(openraft),
                number(raft),
                ratio(openraft),
                ratio(raft)
            )?;
        }
        Ok(())
    }
}
