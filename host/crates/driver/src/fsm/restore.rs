//! Restoring a running state machine from an image, a snapshot file that a user brought: at one
//! index on every replica. The bytes become a checkpoint of this group first, so that whoever
//! comes later never needs the image.

use coracle_proto::Entry;

use super::checkpoint::{Concluded, DONE, overflow};
use super::history::{GuestFailure, Stop, Trouble};
use super::options::CHUNK_BYTES;
use super::sessions::Sessions;
use super::state_file::{read_sessions, write_sessions};
use super::worker::Worker;
use super::{SessionSummary, SnapshotHeader};
use crate::task::Report;
use crate::{
    Digest, Environment, FailureClass, MachineSpec, Section, SnapshotError, SnapshotReader,
    SnapshotRef,
};

impl Worker {
    /// Replaces state and sessions by those of an image; plugin, config and limits stay. If
    /// anything fails the old history goes on. `fresh`: only if nothing was applied yet.
    pub(super) fn restore(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        image: &Digest,
        fresh: bool,
    ) -> Result<Concluded, Stop> {
        let fuel = self.fuel();
        let Some(spec) = self.origin.as_ref().map(|origin| origin.spec.clone()) else {
            return Ok((self.refusal(), None));
        };
        if fresh && !self.is_fresh() {
            return Ok(self.keep_old(&in_use(), fuel));
        }
        match self.try_restore(entry, environment, &spec, image) {
            Ok(digest) => Ok((DONE, Some(digest))),
            Err(Trouble::Guest(failure)) => {
                let concluded = self.keep_old(&failure, fuel);
                // Whoever comes by this entry again finds out by the image, which is not kept for
                // long; behind a checkpoint nobody does.
                self.due.urgent = true;
                Ok(concluded)
            }
            Err(Trouble::Stop(stop)) => Err(stop),
        }
    }

    fn is_fresh(&self) -> bool {
        let origin = self.origin.as_ref();
        !self.used && origin.is_some_and(|origin| origin.snapshot.is_none())
    }

    fn try_restore(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
        image: &Digest,
    ) -> Result<Digest, Trouble> {
        let mut reader = self.open_image(image)?;
        if let Err(error) = SnapshotHeader::decode(reader.header()) {
            return Err(Trouble::Guest(unreadable(error.to_string())));
        }
        let sessions = match read_sessions(reader.as_mut()) {
            Ok(Ok(sessions)) => sessions,
            Ok(Err(error)) => return Err(Trouble::Guest(unreadable(error.to_string()))),
            Err(_) => return Err(self.image_missing(image, "it is damaged").into()),
        };
        let snapshot = self.adopt(entry, environment, spec, image, (reader, &sessions))?;
        let digest = self.begin_from(entry, environment, spec, snapshot)?;
        self.sessions = sessions;
        self.used = true;
        Ok(digest)
    }

    fn open_image(&mut self, image: &Digest) -> Result<Box<dyn SnapshotReader>, Stop> {
        match self.context.snapshots.open_image(image) {
            Ok(reader) => Ok(reader),
            Err(SnapshotError::Io { context, source }) => {
                Err(SnapshotError::Io { context, source }.into())
            }
            Err(error) => Err(self.image_missing(image, &error.to_string())),
        }
    }

    /// Writes what is in the image as a checkpoint of this group.
    fn adopt(
        &mut self,
        entry: &Entry,
        environment: &Environment,
        spec: &MachineSpec,
        image: &Digest,
        (mut reader, sessions): (Box<dyn SnapshotReader>, &Sessions),
    ) -> Result<SnapshotRef, Trouble> {
        let header = SnapshotHeader {
            group: self.group,
            last: entry.id(),
            configuration: self.configuration.clone(),
            environment: *environment,
            spec: spec.clone(),
            sessions: SessionSummary {
                commands: sessions.len() as u64,
            },
            chain: self.chain.clone(),
        };
        let created = self
            .context
            .snapshots
            .create(self.group, entry.id(), &header.encode());
        let mut writer = created.map_err(Stop::from)?;
        write_sessions(writer.as_mut(), sessions)?;
        let mut left = spec.limits.snapshot_bytes;
        loop {
            let chunk = match reader.read(Section::State, CHUNK_BYTES) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => chunk,
                Err(error) => return Err(self.image_missing(image, &error.to_string()).into()),
            };
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| Trouble::Guest(overflow("restore")))?;
            writer.write(Section::State, &chunk).map_err(Stop::from)?;
        }
        let digest = writer.finish().map_err(Stop::from)?;
        Ok(SnapshotRef {
            last: entry.id(),
            configuration: header.configuration,
            digest,
        })
    }

    /// It stands still until the image is here, or a newer snapshot.
    fn image_missing(&mut self, image: &Digest, reason: &str) -> Stop {
        self.reports.push_back(Report::ImageMissing {
            group: self.group,
            image: *image,
        });
        Stop::Gone(format!("image {image}: {reason}"))
    }
}

fn in_use() -> GuestFailure {
    let reason = "commands were applied before it could begin from the snapshot";
    GuestFailure {
        call: "restore",
        class: None,
        message: reason.as_bytes().to_vec(),
        detail: reason.into(),
    }
}

fn unreadable(reason: String) -> GuestFailure {
    GuestFailure {
        call: "restore",
        class: Some(FailureClass::BadResult),
        message: Vec::new(),
        detail: reason,
    }
}
