//! `coracle query`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use coracle_client::{Consistency, QueryOptions, parse_duration};
use serde_json::Map;

use super::{Failure, Global, console};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints the fsm's bytes and a newline; with -o json {\"index\":I,\"node\":N,\"term\":T,\"reply\":TEXT},
or reply_base64 where the bytes are not UTF-8; staleness_ms if it is known.

Consistency: `linearizable` (the default) reflects everything acknowledged before, answered by the
asked node; `leader` the same, answered by the leader; `lease` trusts the leader's lease, that is
clocks; `stale` is what the asked node has applied.

Examples:
  coracle query kv get boat
  coracle query kv get boat --stale               what the first node that answers has applied
  coracle query kv get boat --stale --min-index 7 but not before index 7
  coracle query kv get boat --stale --max-staleness 500ms")]
pub(super) struct Query {
    /// The fsm
    fsm: String,
    /// The words of the query, joined by single spaces; after `--` they may begin with a dash
    #[arg(required = true, allow_negative_numbers = true)]
    command: Vec<String>,
    /// How fresh the answer must be
    #[arg(long, value_enum, default_value_t = Freshness::Linearizable)]
    consistency: Freshness,
    /// Answer at once from what the asked node has applied: --consistency stale
    #[arg(long, conflicts_with = "consistency")]
    stale: bool,
    /// With a stale query: refuse if the state is older, e.g. 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_staleness: Option<Duration>,
    /// Answer only once this log index is applied
    #[arg(long, value_name = "INDEX")]
    min_index: Option<u64>,
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Freshness {
    Linearizable,
    Leader,
    Lease,
    Stale,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

impl Query {
    fn consistency(&self) -> Consistency {
        match self.consistency {
            _ if self.stale || self.max_staleness.is_some() => Consistency::Stale,
            Freshness::Linearizable => Consistency::Linearizable,
            Freshness::Leader => Consistency::Leader,
            Freshness::Lease => Consistency::Lease,
            Freshness::Stale => Consistency::Stale,
        }
    }

    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let options = QueryOptions {
            consistency: self.consistency(),
            min_index: self.min_index,
            max_staleness: self.max_staleness,
        };
        let answer = client
            .query(&self.fsm, self.command.join(" ").into(), options)
            .await?;
        if !global.json() {
            return console::bytes(&answer.reply);
        }
        let mut object = Map::new();
        object.insert("index".into(), answer.index.into());
        if let Some(node) = answer.node {
            object.insert("node".into(), node.into());
        }
        if let Some(term) = answer.term {
            object.insert("term".into(), term.into());
        }
        if let Some(staleness) = answer.staleness {
            let millis = u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX);
            object.insert("staleness_ms".into(), millis.into());
        }
        console::reply_members(&mut object, &answer.reply);
        console::json(&object)
    }
}
