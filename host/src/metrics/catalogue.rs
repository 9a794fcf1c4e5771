//! Registers metrics and remembers their names and types, for the page that lists them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::labels::Labels;
use super::per_group::PerGroup;

/// A number with a fraction.
pub(super) type Fraction = Gauge<f64, AtomicU64>;

/// A histogram for each set of labels.
pub(super) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What is registered so far.
#[derive(Debug)]
pub(super) struct Catalogue {
    prefix: &'static str,
    registry: Registry,
    names: BTreeMap<String, String>,
}

/// Times from a tenth of a millisecond to twenty seconds.
pub(super) fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 3.0, 12))
}

impl Catalogue {
    pub(super) fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            registry: Registry::with_prefix(prefix),
            names: BTreeMap::new(),
        }
    }

    pub(super) fn finish(self) -> Registry {
        self.registry
    }

    /// Names as they are exposed, and their types.
    #[cfg(test)]
    pub(super) fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    fn add<M: Metric + Clone>(&mut self, kind: &str, name: &str, help: &str, metric: M) -> M {
        let full = match kind {
            "counter" => format!("{}_{name}_total", self.prefix),
            "info" => format!("{}_{name}_info", self.prefix),
            _ => format!("{}_{name}", self.prefix),
        };
        let before = self.names.insert(full, kind.to_owned());
        debug_assert!(before.is_none(), "{name} is registered twice");
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.add("counter", name, help, Counter::default())
    }

    pub(super) fn seconds_counter(&mut self, name: &str, help: &str) -> Counter<f64, AtomicU64> {
        self.add("counter", name, help, Counter::default())
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add("gauge", name, help, Gauge::default())
    }

    pub(super) fn fraction(&mut self, name: &str, help: &str) -> Fraction {
        self.add("gauge", name, help, Fraction::default())
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        self.add("histogram", name, help, seconds())
    }

    pub(super) fn counters<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Counter>
    where
        Family<L, Counter>: Metric,
    {
        self.add("counter", name, help, Family::default())
    }

    pub(super) fn gauges<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Gauge>
    where
        Family<L, Gauge>: Metric,
    {
        self.add("gauge", name, help, Family::default())
    }

    pub(super) fn fractions<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Fraction>
    where
        Family<L, Fraction>: Metric,
    {
        self.add("gauge", name, help, Family::default())
    }

    pub(super) fn timed<L: Labels>(&mut self, name: &str, help: &str) -> Histograms<L>
    where
        Histograms<L>: Metric,
    {
        let family = Family::new_with_constructor(seconds as fn() -> Histogram);
        self.add("histogram", name, help, family)
    }

    /// One histogram of seconds per group.
    pub(super) fn per_group(&mut self, name: &str, help: &str) -> PerGroup {
        self.add("histogram", name, help, PerGroup::default())
    }
}

/// Sets a counter that is counted elsewhere.
pub(super) fn show<L: Labels + EncodeLabelSet>(
    family: &Family<L, Counter>,
    labels: &L,
    count: u64,
) {
    use std::sync::atomic::Ordering;
    family
        .get_or_create(labels)
        .inner()
        .store(count, Ordering::Relaxed);
}

/// Sets a gauge; what is too large for one is shown as the largest there is.
pub(super) fn set<L: Labels + EncodeLabelSet>(family: &Family<L, Gauge>, labels: &L, value: u64) {
    family
        .get_or_create(labels)
        .set(i64::try_from(value).unwrap_or(i64::MAX));
}
