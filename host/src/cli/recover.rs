//! `coracle recover`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use coracle_client::node_id;
use coracle_proto::NodeId;

use super::failure::Exit;
use super::{Failure, Global, console};
use crate::config::Config;
use crate::recover::{Action, FolderReport, GroupReport, RecoverError, Report, Request, recover};

#[derive(Debug, Args)]
#[command(after_help = "\
For a cluster that has lost the majority of its nodes FOR GOOD. If they can come back, bring them
back instead. The nodes must be stopped. Without --yes nothing is written.

The survivors become the only voters of every group. Whatever is in the best log of a group counts
as committed, even if it never was; what only the lost nodes had acknowledged is gone. The lost
nodes are removed: never start them again, their ids are not used again. Each survivor's folder is
copied before it is changed.

Examples:
  coracle recover --data-dir cluster/n2/data
  coracle recover --data-dir n2/data --data-dir n3/data --survivors n2,n3 --yes
  coracle recover --config cluster/n2/coracle.toml --yes --copies /backup")]
pub(super) struct Recover {
    /// A node's data folder; repeat it for every node whose folder is left
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        required_unless_present = "configs",
        conflicts_with = "configs"
    )]
    folders: Vec<PathBuf>,
    /// A node's configuration, instead of its data folder; repeatable
    #[arg(long = "config", value_name = "FILE")]
    configs: Vec<PathBuf>,
    /// The nodes that go on, e.g. n2,n3 [default: the one whose log is best]
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    survivors: Vec<Name>,
    /// Where copies of the folders go [default: beside each folder]
    #[arg(long, value_name = "DIR")]
    copies: Option<PathBuf>,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// A node as it is written: `n2`.
#[derive(Debug, Clone, Copy)]
struct Name(NodeId);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = node_id(text).filter(|number| *number > 0);
        let number = number.ok_or_else(|| "want a node such as n2".to_owned())?;
        Ok(Self(NodeId(number)))
    }
}

impl Recover {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let survivors: BTreeSet<NodeId> = self.survivors.iter().map(|name| name.0).collect();
        let request = Request {
            folders: self.folders()?,
            survivors: (!survivors.is_empty()).then_some(survivors),
            copies: self.copies.clone(),
            write: self.yes,
        };
        let report = recover(&request, &console::say)?;
        if global.json() {
            console::json(&report)?;
        } else {
            console::data(&text(&report))?;
        }
        console::say(&closing(&report));
        Ok(())
    }

    fn folders(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut folders = self.folders.clone();
        let mut first: Option<Config> = None;
        for file in &self.configs {
            let config = Config::load(file)?;
            if let Some(first) = first.as_ref().filter(|it| it.cluster != config.cluster) {
                let (one, other) = (&first.cluster, &config.cluster);
                let text = format!("the configurations are of clusters {one} and {other}");
                return Err(Failure::usage(text));
            }
            folders.push(config.data_dir.clone());
            first.get_or_insert(config);
        }
        Ok(folders)
    }
}

fn text(report: &Report) -> String {
    let head = [
        "NODE",
        "GROUP",
        "FSM",
        "TERM",
        "VOTE",
        "LAST",
        "APPLIED",
        "FLOOR",
        "SNAPSHOT",
        "BEHIND",
        "ACTION",
        "CONFIGURATION",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for folder in &report.folders {
        rows.extend(folder.groups.iter().map(|group| row(folder, group)));
    }
    let mut lines = vec![console::table(&rows), String::new()];
    for folder in &report.folders {
        lines.push(format!("n{} is {}", folder.node, folder.path.display()));
    }
    lines.extend(warnings(report));
    lines.join("\n")
}

fn row(folder: &FolderReport, group: &GroupReport) -> Vec<String> {
    let snapshot = match &group.snapshot {
        None => "-".to_owned(),
        Some(snapshot) if snapshot.damage.is_some() => format!("{} damaged", snapshot.index),
        Some(snapshot) => snapshot.index.to_string(),
    };
    let fsm = match (&group.fsm, group.group) {
        (Some(name), _) => name.clone(),
        (None, 0) => "(directory)".to_owned(),
        (None, _) => "?".to_owned(),
    };
    let action = match group.action {
        Action::Continue => "continue",
        Action::Replace => "replace",
        Action::Leave => "leave",
    };
    vec![
        format!("n{}", folder.node),
        format!("g{}", group.group),
        fsm,
        group.term.to_string(),
        group.vote.clone().unwrap_or_else(|| "-".to_owned()),
        format!("{}/{}", group.last.0, group.last.1),
        group.applied.to_string(),
        group.floor.to_string(),
        snapshot,
        group.behind.to_string(),
        action.to_owned(),
        group.configuration.clone(),
    ]
}

/// What is lost, as far as it can be known.
fn warnings(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for folder in &report.folders {
        if let Some(loss) = &folder.loss {
            lines.push(format!(
                "LOST on n{}: acknowledged data is missing from its log: {loss}",
                folder.node
            ));
        }
        for group in &folder.groups {
            if let Some(reason) = &group.unusable {
                lines.push(format!(
                    "LOST in g{}: the log of n{} up to {} cannot be used: {reason}",
                    group.group, folder.node, group.last.1
                ));
            }
        }
    }
    for lost in &report.lost {
        lines.push(format!(
            "LOST: no folder holds fsm {} (g{}): it begins anew, empty",
            lost.fsm, lost.group
        ));
    }
    if !report.removed.is_empty() {
        lines.push(format!(
            "removed for ever: {}; what only they had acknowledged is gone",
            names(&report.removed)
        ));
    }
    lines.push(format!(
        "the only voters, from term {}: {}; all that is in the logs counts as committed",
        report.term,
        names(&report.survivors)
    ));
    lines.extend(
        report
            .copies
            .iter()
            .map(|copy| format!("the folder as it was: {}", copy.display())),
    );
    lines
}

fn closing(report: &Report) -> String {
    if !report.written {
        return "nothing was written; add --yes to do it".to_owned();
    }
    format!(
        "recovered: start {} with `coracle start`; other nodes join with a new ticket \
         (`coracle token create join`)",
        names(&report.survivors)
    )
}

fn names(nodes: &[u64]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    names.join(", ")
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        let exit = match &error {
            RecoverError::Count { .. } | RecoverError::NotGiven { .. } => Exit::Usage,
            RecoverError::NoLog { .. } => Exit::NotFound,
            RecoverError::SameNode { .. }
            | RecoverError::OtherName { .. }
            | RecoverError::OtherCluster { .. }
            | RecoverError::CopyExists { .. } => Exit::Conflict,
            _ => Exit::Other,
        };
        Self::new(exit, error.to_string())
    }
}
