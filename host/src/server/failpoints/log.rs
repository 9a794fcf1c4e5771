//! A log with failpoints.

use coracle_driver::{Log, LogError, Write, WriteKind};
use coracle_proto::EntryKind;

use super::{Place, fallible};
use crate::server::log_writer::Store;

/// Another log, and places around what it makes durable.
#[derive(Debug)]
pub(in crate::server) struct FailingLog<S>(pub(in crate::server) S);

/// The places around these writes: before, and after.
fn places(writes: &[Write]) -> Vec<(Place, Place)> {
    writes.iter().flat_map(around).collect()
}

fn around(write: &Write) -> Vec<(Place, Place)> {
    let mut places = Vec::new();
    match &write.kind {
        WriteKind::Append {
            hard_state,
            entries,
        } => {
            if hard_state.is_some() {
                places.push((Place::BeforeHardState, Place::AfterHardState));
            }
            if !entries.is_empty() {
                places.push((Place::BeforeAppend, Place::AfterAppend));
            }
            let mut kinds = entries.iter().map(|entry| entry.kind);
            if kinds.any(|kind| kind == EntryKind::Configuration) {
                places.push((Place::BeforeConfiguration, Place::AfterConfiguration));
            }
        }
        WriteKind::Compact { .. } => places.push((Place::BeforeCompact, Place::AfterCompact)),
        WriteKind::Install { .. } => places.push((Place::BeforeInstall, Place::AfterInstall)),
        WriteKind::Host { .. } => places.push((Place::BeforeHost, Place::AfterHost)),
        WriteKind::Applied { .. } | WriteKind::Remove => {}
    }
    places
}

fn check(place: Place) -> Result<(), LogError> {
    fallible(place).map_err(|source| LogError::Io {
        context: "writing the log".to_owned(),
        source,
    })
}

impl<S: Store> Log for FailingLog<S> {
    fn commit(&mut self, writes: &[Write]) -> Result<(), LogError> {
        let places = places(writes);
        places.iter().try_for_each(|(before, _)| check(*before))?;
        self.0.commit(writes)?;
        places.iter().try_for_each(|(_, after)| check(*after))
    }

    fn close(&mut self) -> Result<(), LogError> {
        check(Place::BeforeLogClose)?;
        self.0.close()?;
        check(Place::AfterLogClose)
    }
}

impl<S: Store> Store for FailingLog<S> {
    fn low_on_space(&self) -> bool {
        self.0.low_on_space()
    }
}
