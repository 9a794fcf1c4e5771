//! `coracle fsm` and `coracle upgrade`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use coracle_client::{
    Client, CreateFsm, DigestHex, FsmInfo, LimitOverrides, Outcome, PlaceFsm, Restore,
};
use serde_json::{Map, Value};

use super::failure::Exit;
use super::{Failure, Global, console, members, plugin, progress, snapshot};

#[derive(Debug, Subcommand)]
pub(super) enum Fsm {
    /// Create an fsm; returns when it serves
    Create(Create),
    /// List the fsms
    List,
    /// Show one fsm
    Show {
        /// The fsm
        name: String,
    },
    /// Say on which nodes an fsm is to run; it goes there without stopping
    Place(Place),
    /// Remove an fsm and its state, for good
    Remove {
        /// The fsm
        name: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  coracle fsm create kv --plugin kv.wasm
  coracle fsm create kv2 --from-snapshot kv.snapshot
  coracle fsm create jobs --plugin queue.wasm --config retries=3 --limit memory_bytes=67108864")]
pub(super) struct Create {
    /// Its name: a-z, 0-9, '-', '_', beginning with a letter
    name: String,
    /// The plugin: a file, which is uploaded, or the digest of one that was
    #[arg(
        long,
        value_name = "FILE|SHA256",
        required_unless_present = "from_snapshot"
    )]
    plugin: Option<PathBuf>,
    /// Begin with the state of a saved snapshot, of any cluster. Plugin, settings and limits are
    /// the snapshot's unless given; the cluster must have the plugin
    #[arg(long, value_name = "FILE")]
    from_snapshot: Option<PathBuf>,
    /// A setting for the plugin; repeat it
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// A limit that differs from the default, e.g. memory_bytes, command_fuel; repeat it
    #[arg(long = "limit", value_name = "KEY=NUMBER", value_parser = limit)]
    limits: Vec<(String, u64)>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Returns when the new plugin serves on the leader; prints the log index from which on it does. If
its restore fails, the old plugin goes on and the exit code is 9.

Example:
  coracle upgrade kv kv-v2.wasm")]
pub(super) struct Upgrade {
    /// The fsm
    fsm: String,
    /// The plugin: a file, which is uploaded, or the digest of one that was
    #[arg(value_name = "FILE|SHA256")]
    plugin: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  coracle fsm place kv --node n1,n2,n4")]
pub(super) struct Place {
    /// The fsm
    name: String,
    /// A node it is to run on; repeat it, or separate with commas
    #[arg(
        long = "node",
        value_name = "NODE",
        value_delimiter = ',',
        required_unless_present = "all"
    )]
    nodes: Vec<String>,
    /// On all nodes, also those that come later
    #[arg(long, conflicts_with = "nodes")]
    all: bool,
}

impl Place {
    async fn run(&self, client: &Client, global: &Global) -> Result<(), Failure> {
        let list = client.members().await?;
        let ids = self.nodes.iter().map(|node| members::resolve(&list, node));
        let nodes = match self.all {
            true => None,
            false => Some(ids.collect::<Result<Vec<_>, _>>()?),
        };
        let placed = client.place_fsm(&self.name, &PlaceFsm { nodes }).await?;
        members::wait_for_groups(client, &self.name, global).await?;
        if global.json() {
            return console::json(&placed);
        }
        console::say(&format!("fsm {} runs where it is to run", placed.name));
        Ok(())
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("want KEY=VALUE".into()),
    }
}

fn limit(text: &str) -> Result<(String, u64), String> {
    let (key, value) = setting(text).map_err(|_| "want KEY=NUMBER")?;
    let value = value
        .parse()
        .map_err(|_| format!("{value:?} is not a number"))?;
    Ok((key, value))
}

impl Fsm {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        match self {
            Self::Create(create) => {
                let info = create.run(&client).await?;
                if global.json() {
                    console::json(&info)
                } else {
                    print(&[info])
                }
            }
            Self::List => {
                let list = client.list_fsms().await?;
                if global.json() {
                    console::json(&list)
                } else {
                    print(&list.fsms)
                }
            }
            Self::Show { name } => {
                let info = client.get_fsm(name).await?;
                if global.json() {
                    console::json(&info)
                } else {
                    print(&[info])
                }
            }
            Self::Place(place) => place.run(&client, global).await,
            Self::Remove { name } => {
                let label = format!("removing {name}");
                let removed = progress::during(&label, client.remove_fsm(name)).await?;
                if global.json() {
                    return console::json(&removed);
                }
                console::say(&format!("fsm {name} is removed"));
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(&self, client: &Client) -> Result<FsmInfo, Failure> {
        let limits = self
            .limits
            .iter()
            .map(|(k, v)| (k.clone(), Value::from(*v)));
        let limits = Value::Object(limits.collect::<Map<_, _>>());
        let limits: LimitOverrides =
            serde_json::from_value(limits).map_err(|e| Failure::usage(format!("--limit: {e}")))?;
        let spec = CreateFsm {
            plugin: DigestHex([0; 32]),
            config: self.settings.iter().cloned().collect(),
            limits,
        };
        match (&self.from_snapshot, &self.plugin) {
            (Some(file), plugin) => {
                self.create_from(client, file, plugin.as_deref(), spec)
                    .await
            }
            (None, Some(plugin)) => create(client, &self.name, plugin, spec).await,
            (None, None) => Err(Failure::usage("name a plugin with --plugin")),
        }
    }

    /// Creates it, and restores it before anything else is applied; if that fails it goes again.
    async fn create_from(
        &self,
        client: &Client,
        file: &Path,
        plugin: Option<&Path>,
        mut spec: CreateFsm,
    ) -> Result<FsmInfo, Failure> {
        let image = snapshot::inspect(file)?;
        if spec.config.is_empty() {
            spec.config = image.config.clone();
        }
        if self.limits.is_empty() {
            spec.limits = image.limits();
        }
        let own = PathBuf::from(image.plugin.to_string());
        if plugin.is_none() {
            let known = client.list_plugins().await?.plugins;
            if !known.iter().any(|known| known.digest == image.plugin) {
                let text = format!(
                    "the snapshot is of plugin {}, which this cluster does not have: upload it with \
                     `coracle plugin add FILE`, or name another with --plugin",
                    image.plugin
                );
                return Err(Failure::new(Exit::NotFound, text));
            }
        }
        // One that an interrupted attempt has left may go on; whatever else is there stays.
        let existed = self.exists(client).await?;
        snapshot::bring(client, file, &image).await?;
        let info = create(client, &self.name, plugin.unwrap_or(&own), spec).await?;
        let restore = Restore {
            image: image.digest,
            fresh: true,
        };
        let label = format!("restoring {}", self.name);
        match progress::during(&label, client.restore(&self.name, restore)).await {
            Ok(_) => Ok(info),
            Err(error) if existed && error.outcome() == Outcome::NotApplied => {
                let name = &self.name;
                let text = format!(
                    "fsm {name} exists already and stays as it was: {error}; name another, or put \
                     the snapshot in place of its state with `coracle snapshot restore {name} \
                     --from {}`",
                    file.display()
                );
                Err(Failure::new(Exit::Conflict, text))
            }
            Err(error) if error.outcome() == Outcome::NotApplied => {
                client.remove_fsm(&self.name).await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn exists(&self, client: &Client) -> Result<bool, Failure> {
        coracle_client::check_fsm_name(&self.name).map_err(|e| Failure::usage(e.to_string()))?;
        let known = client.list_fsms().await?.fsms;
        Ok(known.iter().any(|fsm| fsm.name == self.name))
    }
}

/// Uploads the plugin if it is a file, and creates the fsm from it.
pub(super) async fn create(
    client: &Client,
    name: &str,
    plugin: &Path,
    spec: CreateFsm,
) -> Result<FsmInfo, Failure> {
    coracle_client::check_fsm_name(name).map_err(|e| Failure::usage(e.to_string()))?;
    let spec = CreateFsm {
        plugin: resolve(client, plugin).await?,
        ..spec
    };
    let label = format!("creating fsm {name}");
    Ok(progress::during(&label, client.create_fsm(name, &spec)).await?)
}

/// The digest of a plugin the cluster has after this.
async fn resolve(client: &Client, plugin: &Path) -> Result<DigestHex, Failure> {
    let digest = plugin.to_str().and_then(|text| text.parse().ok());
    match digest {
        Some(digest) if !plugin.exists() => Ok(digest),
        _ => Ok(plugin::upload(client, plugin).await?.digest),
    }
}

impl Upgrade {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let upgraded = upgrade(&client, &self.fsm, &self.plugin).await?;
        if global.json() {
            console::json(&upgraded)
        } else {
            console::data(&upgraded.index.to_string())
        }
    }
}

/// Uploads the plugin if it is a file, and has the fsm go on with it.
pub(super) async fn upgrade(
    client: &Client,
    fsm: &str,
    plugin: &Path,
) -> Result<coracle_client::Upgraded, Failure> {
    coracle_client::check_fsm_name(fsm).map_err(|e| Failure::usage(e.to_string()))?;
    let digest = resolve(client, plugin).await?;
    let label = format!("upgrading {fsm}");
    Ok(progress::during(&label, client.upgrade(fsm, digest)).await?)
}

fn print(fsms: &[FsmInfo]) -> Result<(), Failure> {
    let head = ["NAME", "GROUP", "STATE", "PLUGIN", "CONFIG"]
        .map(str::to_owned)
        .to_vec();
    let rows = fsms.iter().map(|fsm| {
        let config: Vec<_> = fsm.config.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let plugin = fsm.plugin.to_string();
        vec![
            fsm.name.clone(),
            fsm.group.to_string(),
            fsm.state.to_string(),
            plugin[..12].to_owned(),
            config.join(" "),
        ]
    });
    console::data(&console::table(
        &std::iter::once(head).chain(rows).collect::<Vec<_>>(),
    ))
}
