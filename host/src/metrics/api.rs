//! HTTP and forwarding.

use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::catalogue::{Catalogue, Histograms};
use super::labels::{Route, RouteCode};

/// HTTP and forwarding.
#[derive(Debug)]
pub(crate) struct Api {
    requests: Family<RouteCode, Counter>,
    seconds: Histograms<Route>,
    /// Requests in progress.
    pub(crate) inflight: Gauge,
    /// Calls that went to another node, the leader.
    pub(crate) forwarded: Counter,
    /// Requests turned away because too many are in progress.
    pub(crate) turned_away: Counter,
    /// Outcomes given again for a key that was used before.
    pub(crate) replays: Counter,
}

impl Api {
    pub(super) fn new(c: &mut Catalogue) -> Self {
        Self {
            requests: c.counters("http_requests", "Requests answered"),
            seconds: c.timed("http_request_seconds", "Time to answer a request"),
            inflight: c.gauge("http_inflight", "Requests in progress"),
            forwarded: c.counter("forwarded", "Calls brought to the leader of their group"),
            turned_away: c.counter(
                "ratelimited",
                "Requests turned away: limits.http_requests were in progress",
            ),
            replays: c.counter(
                "idempotent_replays",
                "Outcomes given again for a key that was used before",
            ),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: &str, code: u16, began: Instant) {
        let route = route.to_owned();
        self.seconds
            .get_or_create(&Route {
                route: route.clone(),
            })
            .observe(began.elapsed().as_secs_f64());
        self.requests
            .get_or_create(&RouteCode { route, code })
            .inc();
    }
}
