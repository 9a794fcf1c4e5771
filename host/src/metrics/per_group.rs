//! A histogram per group, whose label is the name of the group's fsm: a group is known by its id
//! when something happens, and by its name when somebody reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_proto::GroupId;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;

use super::catalogue::seconds;
use super::labels::Fsm;

/// Histograms of the groups of this node.
#[derive(Debug, Clone, Default)]
pub(crate) struct PerGroup(Arc<Mutex<Groups>>);

#[derive(Debug, Default)]
struct Groups {
    all: BTreeMap<GroupId, Histogram>,
    shown: BTreeMap<GroupId, String>,
}

impl PerGroup {
    /// Where a group's times go.
    pub(crate) fn of(&self, group: GroupId) -> Histogram {
        let mut groups = self.groups();
        groups.all.entry(group).or_insert_with(seconds).clone()
    }

    /// The groups that are shown, by name. Those that are not here at all (`hosted`) are forgotten.
    pub(super) fn show(&self, shown: BTreeMap<GroupId, String>, hosted: &dyn Fn(GroupId) -> bool) {
        let mut groups = self.groups();
        groups.all.retain(|group, _| hosted(*group));
        groups.shown = shown;
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for PerGroup {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let groups = self.groups();
        for (group, name) in &groups.shown {
            if let Some(histogram) = groups.all.get(group) {
                let labels = Fsm { fsm: name.clone() };
                histogram.encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
