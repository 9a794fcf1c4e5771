//! What a node counts and measures, in OpenMetrics text. One [`Metrics`] per node: several nodes in
//! one process share nothing.
//!
//! Counters and times are kept as things happen; what is a state (terms, indexes, sizes) is read
//! when somebody asks, from a [`Scene`].

mod api;
mod catalogue;
mod events;
mod fsm;
mod labels;
mod net;
mod per_group;
mod process;
mod raft;
mod scene;
mod store;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use catalogue::Catalogue;

pub(crate) use api::Api;
pub(crate) use events::Events;
pub(crate) use fsm::Fsms;
pub(crate) use labels::{Direction, Ended, Joined};
pub(crate) use net::Net;
pub(crate) use process::Process;
pub(crate) use raft::Raft;
pub(crate) use scene::{GroupScene, PeerScene, Scene, StoreScene};
pub(crate) use store::Store;

/// Media type of the text.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Begins every name.
const PREFIX: &str = "coracle";

/// A node's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    /// States are cleared and read again at each scrape, by one scrape at a time.
    scraping: Mutex<()>,
    /// Consensus.
    pub(crate) raft: Raft,
    /// The log and the disk.
    pub(crate) store: Store,
    /// State machines and plugins.
    pub(crate) fsms: Fsms,
    /// Connections to peers.
    pub(crate) net: Net,
    /// HTTP and forwarding.
    pub(crate) api: Api,
    /// Events and who follows them.
    pub(crate) events: Events,
    /// The process.
    pub(crate) process: Process,
}

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new() -> Self {
        let mut catalogue = Catalogue::new(PREFIX);
        Self {
            raft: Raft::new(&mut catalogue),
            store: Store::new(&mut catalogue),
            fsms: Fsms::new(&mut catalogue),
            net: Net::new(&mut catalogue),
            api: Api::new(&mut catalogue),
            events: Events::new(&mut catalogue),
            process: Process::new(&mut catalogue),
            scraping: Mutex::new(()),
            registry: catalogue.finish(),
        }
    }

    /// All of it as text, with the states of `scene`.
    pub(crate) fn encode(&self, scene: &Scene) -> String {
        let _turn = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        self.raft.show(scene);
        self.store.show(scene);
        self.fsms.show(scene);
        self.net.show(scene);
        self.process.show(scene);
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("invariant: writing into a string works");
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The page that lists every metric.
    const PAGE: &str = include_str!("../../docs/metrics.md");

    /// Rows like "| `coracle_name` | counter | ... |".
    fn listed() -> BTreeMap<String, String> {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `coracle_"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let name = cells.next().unwrap_or_default().trim_matches('`');
            let name = name.split('{').next().unwrap_or_default().to_owned();
            (name, cells.next().unwrap_or_default().to_owned())
        })
        .collect()
    }

    #[test]
    fn the_page_lists_what_the_code_registers_and_nothing_else() {
        let mut catalogue = Catalogue::new(PREFIX);
        Raft::new(&mut catalogue);
        Store::new(&mut catalogue);
        Fsms::new(&mut catalogue);
        Net::new(&mut catalogue);
        Api::new(&mut catalogue);
        Events::new(&mut catalogue);
        Process::new(&mut catalogue);
        assert_eq!(listed(), *catalogue.names());
    }
}
