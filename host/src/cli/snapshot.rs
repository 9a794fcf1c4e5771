//! `coracle snapshot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use coracle_client::{Client, DigestHex, Restore, SnapshotInfo};

use super::{Failure, Global, console, progress};

mod file;

pub(super) use file::{Image, bring, inspect};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
`coracle snapshot FSM` is `coracle snapshot take FSM`.

Examples:
  coracle snapshot take kv
  coracle snapshot save kv --out kv.snapshot
  coracle snapshot inspect kv.snapshot
  coracle snapshot restore kv --from kv.snapshot"
)]
pub(super) struct Snapshot {
    #[command(subcommand)]
    command: Option<Command>,
    /// The fsm
    #[arg(required = true)]
    fsm: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a snapshot now; returns when it is durable, prints the last log index in it
    Take {
        /// The fsm
        fsm: String,
    },
    /// List the snapshots that a node has
    List {
        /// The fsm
        fsm: String,
    },
    /// Save a snapshot to a file, verified; goes on where an interrupted one stopped
    Save(Save),
    /// Verify a saved snapshot and show what it is of; needs no cluster
    Inspect {
        /// A saved snapshot
        file: PathBuf,
    },
    /// Replace the state of a running fsm by that of a saved snapshot
    #[command(after_help = "\
At one log index every replica gets the snapshot's state and its remembered commands. Commands
before it in the log are applied before, later ones after it. Plugin, config and limits stay as
they are. If the plugin cannot restore the snapshot everything is as before, with exit code 9. Take
a snapshot first if the state may be wanted again.")]
    Restore {
        /// The fsm
        fsm: String,
        /// A saved snapshot
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Save {
    /// The fsm
    fsm: String,
    /// Where to; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which, by its index [default: the newest]
    #[arg(long, value_name = "INDEX")]
    index: Option<u64>,
}

impl Snapshot {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        match (&self.command, &self.fsm) {
            (Some(Command::Take { fsm }), _) | (None, Some(fsm)) => take(global, fsm).await,
            (Some(Command::List { fsm }), _) => list(global, fsm).await,
            (Some(Command::Save(save)), _) => save.run(global).await,
            (Some(Command::Inspect { file }), _) => show(global, &inspect(file)?),
            (Some(Command::Restore { fsm, from }), _) => restore(global, fsm, from).await,
            (None, None) => Err(Failure::usage("name an fsm")),
        }
    }
}

async fn take(global: &Global, fsm: &str) -> Result<(), Failure> {
    let client = global.client()?;
    let label = format!("taking a snapshot of {fsm}");
    let taken = progress::during(&label, client.snapshot(fsm)).await?;
    if global.json() {
        console::json(&taken)
    } else {
        console::data(&taken.index.to_string())
    }
}

async fn list(global: &Global, fsm: &str) -> Result<(), Failure> {
    let list = global.client()?.snapshots(fsm).await?;
    if global.json() {
        return console::json(&list);
    }
    let head = ["NODE", "INDEX", "TERM", "BYTES", "PLUGIN", "DIGEST"];
    let rows = list.snapshots.iter().map(|it| {
        vec![
            format!("n{}", list.node),
            it.index.to_string(),
            it.term.to_string(),
            it.bytes.to_string(),
            short(it.plugin),
            it.digest.to_string(),
        ]
    });
    let head = head.map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    console::data(&console::table(&rows))
}

fn short(digest: DigestHex) -> String {
    digest.to_string().chars().take(12).collect()
}

impl Save {
    async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let wanted = self.find(&client).await?;
        file::save(&client, &self.fsm, &wanted, &self.out).await?;
        if global.json() {
            return console::json(&wanted);
        }
        let out = self.out.display();
        console::say(&format!(
            "{} at index {} is in {out}, verified",
            self.fsm, wanted.index
        ));
        console::data(&wanted.digest.to_string())
    }

    async fn find(&self, client: &Client) -> Result<SnapshotInfo, Failure> {
        let list = client.snapshots(&self.fsm).await?;
        let mut found = list.snapshots.into_iter().rev();
        let wanted = |it: &SnapshotInfo| self.index.is_none_or(|index| index == it.index);
        found.find(wanted).ok_or_else(|| {
            let (fsm, node) = (&self.fsm, list.node);
            let text = match self.index {
                Some(index) => format!("n{node} has no snapshot of {fsm} at {index}"),
                None => format!("n{node} has no snapshot of {fsm}: `coracle snapshot take {fsm}`"),
            };
            Failure::new(super::failure::Exit::NotFound, text)
        })
    }
}

fn show(global: &Global, image: &Image) -> Result<(), Failure> {
    if global.json() {
        return console::json(image);
    }
    console::data(&image.text())
}

async fn restore(global: &Global, fsm: &str, from: &std::path::Path) -> Result<(), Failure> {
    let client = global.client()?;
    let image = inspect(from)?;
    bring(&client, from, &image).await?;
    let wanted = Restore {
        image: image.digest,
        fresh: false,
    };
    let label = format!("restoring {fsm}");
    let restored = progress::during(&label, client.restore(fsm, wanted)).await?;
    if global.json() {
        console::json(&restored)
    } else {
        console::data(&restored.index.to_string())
    }
}
