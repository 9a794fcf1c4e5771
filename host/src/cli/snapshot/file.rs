//! Saved snapshots: files of this machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use coracle_client::{
    Client, ClientError, Code, DigestHex, LimitOverrides, SNAPSHOT_PART_BYTES, SnapshotInfo,
};
use coracle_driver::Limits;
use coracle_driver::fsm::SnapshotHeader;
use coracle_log::inspect_snapshot;
use serde::Serialize;

use super::super::Failure;
use super::super::progress::{Progress, Unit};
use super::super::times::moment;

/// Ending of a file that is not complete yet.
const PARTIAL: &str = "partial";

/// A saved snapshot that was read in full and is sound.
#[derive(Debug, Serialize)]
pub(in super::super) struct Image {
    pub(in super::super) digest: DigestHex,
    bytes: u64,
    group: u64,
    index: u64,
    term: u64,
    /// Nanoseconds since the Unix epoch.
    time: u64,
    configuration: String,
    pub(in super::super) plugin: DigestHex,
    pub(in super::super) config: BTreeMap<String, String>,
    contract: String,
    epoch: u32,
    sessions: u64,
    session_bytes: u64,
    state_bytes: u64,
    #[serde(skip)]
    limits: Limits,
}

/// Verifies a file and reads what it is of.
pub(in super::super) fn inspect(path: &Path) -> Result<Image, Failure> {
    let found = inspect_snapshot(path).map_err(|e| Failure::other(e.to_string()))?;
    let header = SnapshotHeader::decode(&found.info.header)
        .map_err(|e| Failure::other(format!("{}: {e}", path.display())))?;
    let spec = header.spec;
    Ok(Image {
        digest: DigestHex(found.info.digest.0),
        bytes: found.info.bytes,
        group: found.info.group.0,
        index: found.info.last.index,
        term: found.info.last.term,
        time: header.environment.time,
        configuration: header.configuration.to_string(),
        plugin: DigestHex(spec.plugin.0),
        config: spec.config.into_iter().collect(),
        contract: spec.contract,
        epoch: spec.epoch,
        sessions: header.sessions.commands,
        session_bytes: found.session_bytes,
        state_bytes: found.state_bytes,
        limits: spec.limits,
    })
}

impl Image {
    pub(super) fn text(&self) -> String {
        let config: Vec<String> = self
            .config
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        format!(
            "digest         {}, verified\nbytes          {}\ngroup          g{}\n\
             last entry     {}/{}\ntime           {}\nconfiguration  {}\n\
             plugin         {}\nconfig         {}\ncontract       {}, engine epoch {}\n\
             sessions       {} in {} bytes\nstate          {} bytes",
            self.digest,
            self.bytes,
            self.group,
            self.term,
            self.index,
            moment(self.time / 1_000_000_000),
            self.configuration,
            self.plugin,
            config.join(" "),
            self.contract,
            self.epoch,
            self.sessions,
            self.session_bytes,
            self.state_bytes,
        )
    }

    /// Its limits, as those of a new fsm.
    pub(in super::super) fn limits(&self) -> LimitOverrides {
        let Limits {
            memory_bytes,
            table_elements,
            command_fuel,
            query_fuel,
            start_fuel,
            state_fuel_per_mib,
            command_bytes,
            reply_bytes,
            group_reply_bytes,
            snapshot_bytes,
            log_bytes,
        } = self.limits;
        LimitOverrides {
            memory_bytes: Some(memory_bytes),
            table_elements: Some(table_elements),
            command_fuel: Some(command_fuel),
            query_fuel: Some(query_fuel),
            start_fuel: Some(start_fuel),
            state_fuel_per_mib: Some(state_fuel_per_mib),
            command_bytes: Some(command_bytes),
            reply_bytes: Some(reply_bytes),
            group_reply_bytes: Some(group_reply_bytes),
            snapshot_bytes: Some(snapshot_bytes),
            log_bytes: Some(log_bytes),
        }
    }
}

/// Saves a node's snapshot: part by part into a file beside `out`, which gets its name when it is
/// complete, verified and durable. What an interrupted attempt left is gone on with.
pub(super) async fn save(
    client: &Client,
    fsm: &str,
    wanted: &SnapshotInfo,
    out: &Path,
) -> Result<(), Failure> {
    if out.exists() {
        return Err(Failure::other(format!("{} exists already", out.display())));
    }
    let partial = partial(out, wanted);
    let failed = |e| Failure::other(format!("cannot write {}: {e}", partial.display()));
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&partial)
        .map_err(failed)?;
    let mut done = file.metadata().map_err(failed)?.len();
    let label = format!("saving {fsm}");
    let progress = Progress::new(label, Unit::Bytes, Some(wanted.bytes));
    while done < wanted.bytes {
        let part = client.snapshot_part(fsm, wanted, done).await?;
        if part.is_empty() {
            return Err(Failure::other("the node sent no more bytes"));
        }
        file.write_all(&part).map_err(failed)?;
        done += part.len() as u64;
        progress.set(done);
    }
    file.sync_all().map_err(failed)?;
    progress.finish();
    let checked = inspect(&partial);
    if !checked
        .as_ref()
        .is_ok_and(|image| image.digest == wanted.digest)
    {
        fs::remove_file(&partial).map_err(failed)?;
        let text = "what came is not the snapshot it should be; it was removed, try again";
        return Err(Failure::other(text));
    }
    let folder = out.parent().filter(|it| !it.as_os_str().is_empty());
    fs::rename(&partial, out)
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all())
        .map_err(failed)
}

/// Named after what it is a part of: another snapshot must not be appended to it.
fn partial(out: &Path, wanted: &SnapshotInfo) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let digest = wanted.digest.to_string();
    let digest = digest.get(..16).unwrap_or_default();
    out.with_file_name(format!("{name}.{digest}.{PARTIAL}"))
}

/// Brings a saved snapshot to the cluster as an image; goes on where the node is.
pub(in super::super) async fn bring(
    client: &Client,
    path: &Path,
    image: &Image,
) -> Result<(), Failure> {
    let failed = |e| Failure::other(format!("cannot read {}: {e}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let label = format!("uploading {}", path.display());
    let progress = Progress::new(label, Unit::Bytes, Some(image.bytes));
    let mut done = 0;
    let mut restarts = 0;
    while done < image.bytes {
        let count = (image.bytes - done).min(SNAPSHOT_PART_BYTES as u64);
        let mut part = vec![0; count as usize];
        file.seek(SeekFrom::Start(done)).map_err(failed)?;
        file.read_exact(&mut part).map_err(failed)?;
        let put = client.put_image_part(image.digest, done, Bytes::from(part));
        let received = put.await?.received;
        // Another node answers than before: it has less, or nothing.
        if received < done + count {
            restarts += 1;
            if restarts > MAX_RESTARTS {
                let text = "no node takes the whole file; name one with --endpoint";
                return Err(Failure::other(text));
            }
        }
        done = received.min(image.bytes);
        progress.set(done);
    }
    progress.finish();
    match client.finish_image(image.digest).await {
        Err(ClientError::Problem(problem)) if problem.code == Code::DigestMismatch => {
            let text = "what arrived is not the file that was sent; try again";
            Err(Failure::other(text).at(&problem.detail))
        }
        finished => Ok(finished.map(drop)?),
    }
}

/// How often an upload begins again at another node.
const MAX_RESTARTS: u32 = 3;
