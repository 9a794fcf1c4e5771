//! `coracle query`.

use clap::Args;
use coracle_client::{Consistency, QueryOptions};
use serde_json::Map;

use super::{Failure, Global, console};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the fsm's bytes and a newline; with -o json {\"index\":I,\"reply\":TEXT}, or reply_base64
where the bytes are not UTF-8.

Examples:
  coracle query kv get boat
  coracle query kv get boat --stale               what the first node that answers has applied
  coracle query kv get boat --stale --min-index 7 but not before index 7")]
pub(super) struct Query {
    /// The fsm
    fsm: String,
    /// The words of the query, joined by single spaces; after `--` they may begin with a dash
    #[arg(required = true, allow_negative_numbers = true)]
    command: Vec<String>,
    /// Answer at once from what the asked node has applied
    #[arg(long)]
    stale: bool,
    /// Answer only once this log index is applied
    #[arg(long, value_name = "INDEX")]
    min_index: Option<u64>,
}

impl Query {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let consistency = if self.stale {
            Consistency::Stale
        } else {
            Consistency::Linearizable
        };
        let options = QueryOptions {
            consistency,
            min_index: self.min_index,
        };
        let answer = client
            .query(&self.fsm, self.command.join(" ").into(), options)
            .await?;
        if !global.json() {
            return console::bytes(&answer.reply);
        }
        let mut object = Map::new();
        object.insert("index".into(), answer.index.into());
        console::reply_members(&mut object, &answer.reply);
        console::json(&object)
    }
}
