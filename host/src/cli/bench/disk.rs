//! The physical limit: how often the disk can make a small write durable.

use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::Failure;

const WRITE_BYTES: usize = 4096;
const TIME: Duration = Duration::from_secs(2);

/// Rate of 4 KiB writes, each followed by fdatasync, to one file in `dir`.
pub(super) async fn fdatasyncs_per_second(dir: PathBuf) -> Result<f64, Failure> {
    let shown = dir.display().to_string();
    let failed = |reason: String| Failure::other(format!("cannot measure {shown}: {reason}"));
    let measured = tokio::task::spawn_blocking(move || measure(&dir)).await;
    measured
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))
}

fn measure(dir: &Path) -> io::Result<f64> {
    let mut file = tempfile::tempfile_in(dir)?;
    let block = [0x5a; WRITE_BYTES];
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < TIME {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
