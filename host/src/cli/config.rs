//! `coracle config`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failure, Global, console};
use crate::config::parse_value;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
What is set here is kept in the node's data folder and goes before its configuration file, also
after a restart. `unset` goes back to the file.

Examples:
  coracle config show --origin
  coracle config show log.level raft.
  coracle config set log.level debug
  coracle config set raft.heartbeat_ms 50 --all-nodes")]
pub(super) enum Config {
    /// The settings of the asked node
    Show(Show),
    /// Change a setting while the node runs
    Set(Set),
    /// Take a change back
    Unset(Unset),
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Only these, e.g. log.level, or all that begin with `log.`
    keys: Vec<String>,
    /// Also where each value is from: default, file, or set at run time
    #[arg(long)]
    origin: bool,
    /// Only those that can change while the node runs
    #[arg(long)]
    hot: bool,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Its name, e.g. log.level
    key: String,
    /// Its value
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// On every node of the cluster, not only on the asked one
    #[arg(long)]
    all_nodes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Unset {
    /// Its name
    key: String,
    /// On every node of the cluster, not only on the asked one
    #[arg(long)]
    all_nodes: bool,
}

impl Config {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(global).await,
            Self::Set(set) => {
                let value = serde_json::to_value(parse_value(&set.value));
                let value = value.map_err(|e| Failure::usage(e.to_string()))?;
                change(global, &set.key, value, set.all_nodes).await
            }
            Self::Unset(unset) => change(global, &unset.key, Value::Null, unset.all_nodes).await,
        }
    }
}

impl Show {
    async fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut view = global.client()?.config().await?;
        let known = |key: &String| view.settings.iter().any(|setting| is(&setting.key, key));
        if let Some(key) = self.keys.iter().find(|key| !known(key)) {
            return Err(Failure::usage(format!(
                "no setting is called {key:?}: see `coracle config show`"
            )));
        }
        view.settings.retain(|setting| {
            let asked = self.keys.iter().any(|key| is(&setting.key, key));
            (asked || self.keys.is_empty()) && (setting.hot || !self.hot)
        });
        if global.json() {
            return console::json(&view);
        }
        let mut head = vec!["SETTING", "VALUE"];
        if self.origin {
            head.extend(["ORIGIN", "HOT"]);
        }
        let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
        for setting in view.settings {
            let mut row = vec![setting.key, setting.value.to_string()];
            if self.origin {
                let hot = if setting.hot { "yes" } else { "no" };
                row.extend([setting.origin, hot.to_owned()]);
            }
            rows.push(row);
        }
        console::data(&console::table(&rows))
    }
}

/// Whether a setting is the one that is asked for, or one of those below it.
fn is(key: &str, asked: &str) -> bool {
    key == asked || asked.ends_with('.') && key.starts_with(asked)
}

async fn change(global: &Global, key: &str, value: Value, all_nodes: bool) -> Result<(), Failure> {
    let set = BTreeMap::from([(key.to_owned(), value)]);
    let changed = global.client()?.set_config(set, all_nodes).await?;
    if global.json() {
        console::json(&changed)?;
    } else {
        for node in changed.nodes.iter().filter(|node| node.ok) {
            console::data(&format!("n{} {key}", node.node))?;
        }
    }
    let failed: Vec<String> = changed
        .nodes
        .iter()
        .filter_map(|node| Some(format!("n{}: {}", node.node, node.error.as_ref()?)))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::other(format!(
        "not changed everywhere: {}; the same command does the rest",
        failed.join("; ")
    )))
}
