//! Events and who follows them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::catalogue::Catalogue;
use super::labels::Kind;

/// Events and who follows them.
#[derive(Debug)]
pub(crate) struct Events {
    emitted: Family<Kind, Counter>,
    /// Who follows them now.
    pub(crate) subscribers: Gauge,
    /// Events that a subscriber was too slow for.
    pub(crate) lagged: Counter,
}

impl Events {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            emitted: c.counters("events", "Events of this node"),
            subscribers: c.gauge("event_subscribers", "Who follows the events now"),
            lagged: c.counter("events_lagged", "Events a subscriber was too slow for"),
        }
    }

    /// Something happened.
    pub(crate) fn emitted(&self, kind: &'static str) {
        self.emitted.get_or_create(&Kind { kind }).inc();
    }
}
