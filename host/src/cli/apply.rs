//! `coracle apply`.

mod lines;

use std::path::PathBuf;

use clap::Args;
use serde_json::Map;

use super::{Failure, Global, console};

/// Requests in flight with `--lines`.
const MAX_CONCURRENCY: u64 = 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the fsm's bytes and a newline; with -o json {\"index\":I,\"replayed\":BOOL,\"reply\":TEXT}, or
reply_base64 where the bytes are not UTF-8. Every command is sent with an idempotency key of its
own, so that it is applied once however often it has to be sent.

With --lines each line is one command, blank ones are skipped; at the end it prints how many were
applied, the rate and the last log index. It stops at the first line that fails.

Examples:
  coracle apply kv put boat coracle
  coracle apply kv --key order-17 put order 17     the same key is applied once
  coracle apply kv --lines commands.txt --concurrency 64
  generate | coracle apply kv --lines - -o json")]
pub(super) struct Apply {
    /// The fsm
    fsm: String,
    /// The words of the command, joined by single spaces; after `--` they may begin with a dash
    #[arg(required_unless_present = "lines", allow_negative_numbers = true)]
    command: Vec<String>,
    /// Idempotency key: a command with the same key is applied once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Apply each line of a file, or of stdin (-)
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["command", "key"])]
    lines: Option<PathBuf>,
    /// Commands in flight with --lines; more than 1 is faster and does not keep their order
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "lines",
        value_parser = clap::value_parser!(u64).range(1..=MAX_CONCURRENCY)
    )]
    concurrency: u64,
}

impl Apply {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        if let Some(file) = &self.lines {
            return lines::run(&client, &self.fsm, file, self.concurrency, global.json()).await;
        }
        let command = self.command.join(" ").into();
        let applied = match &self.key {
            Some(key) => client.apply_with_key(&self.fsm, command, key).await?,
            None => client.apply(&self.fsm, command).await?,
        };
        if !global.json() {
            return console::bytes(&applied.reply);
        }
        let mut object = Map::new();
        object.insert("index".into(), applied.index.into());
        object.insert("replayed".into(), applied.replayed.into());
        console::reply_members(&mut object, &applied.reply);
        console::json(&object)
    }
}
