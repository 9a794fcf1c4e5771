//! `coracle snapshot`.

use clap::Args;

use super::{Failure, Global, console, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
Returns when the snapshot is durable; prints the last log index in it.

Example:
  coracle snapshot kv")]
pub(super) struct Snapshot {
    /// The fsm
    fsm: String,
}

impl Snapshot {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let label = format!("taking a snapshot of {}", self.fsm);
        let taken = progress::during(&label, client.snapshot(&self.fsm)).await?;
        if global.json() {
            console::json(&taken)
        } else {
            console::data(&taken.index.to_string())
        }
    }
}
