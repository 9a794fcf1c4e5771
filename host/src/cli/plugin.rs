//! `coracle plugin`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Subcommand;
use coracle_client::{Client, PluginInfo};

use super::progress::{Progress, Unit};
use super::{Failure, Global, console};

/// Larger files are not read; nodes have a smaller limit of their own (`limits.plugin_bytes`).
const MAX_FILE_BYTES: u64 = 256 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// Upload a plugin; prints its digest
    #[command(after_help = "Example:\n  coracle plugin add kv.wasm")]
    Add {
        /// A WebAssembly component
        file: PathBuf,
    },
    /// List the plugins the cluster has
    List,
}

impl Plugin {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Add { file } => {
                let info = upload(&client, file).await?;
                if global.json() {
                    console::json(&info)
                } else {
                    console::data(&describe(&info))
                }
            }
            Self::List => {
                let list = client.list_plugins().await?;
                if global.json() {
                    console::json(&list)
                } else {
                    print(&list.plugins)
                }
            }
        }
    }
}

fn describe(info: &PluginInfo) -> String {
    info.digest.to_string()
}

fn print(plugins: &[PluginInfo]) -> Result<(), Failure> {
    let head = ["DIGEST", "NAME", "VERSION", "BYTES"]
        .map(str::to_owned)
        .to_vec();
    let rows = plugins.iter().map(|p| {
        vec![
            p.digest.to_string(),
            p.name.clone(),
            p.version.clone(),
            p.bytes.to_string(),
        ]
    });
    console::data(&console::table(
        &std::iter::once(head).chain(rows).collect::<Vec<_>>(),
    ))
}

/// Uploads a file, with a progress bar.
pub(super) async fn upload(client: &Client, file: &Path) -> Result<PluginInfo, Failure> {
    let bytes = read(file)?;
    let label = format!("uploading {}", file.display());
    let progress = Arc::new(Progress::new(label, Unit::Bytes, Some(bytes.len() as u64)));
    let told = Arc::clone(&progress);
    let uploaded = client.put_plugin(bytes, move |sent| told.set(sent)).await;
    progress.finish();
    uploaded.map_err(|e| Failure::from(e).at(&file.display().to_string()))
}

/// The bytes of a plugin.
pub(super) fn read(file: &Path) -> Result<Bytes, Failure> {
    let failed = |e| Failure::other(format!("cannot read {}: {e}", file.display()));
    let mut bytes = Vec::new();
    // Not by the size the file claims: a device claims none and never ends.
    let mut source = File::open(file).map_err(failed)?.take(MAX_FILE_BYTES + 1);
    source.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let text = format!(
            "{} is larger than a plugin, which has at most {MAX_FILE_BYTES} bytes",
            file.display()
        );
        return Err(Failure::other(text));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_refused() {
        let failure = read(Path::new("/dev/zero")).expect_err("endless");
        assert!(failure.message().contains("at most"));
    }
}
