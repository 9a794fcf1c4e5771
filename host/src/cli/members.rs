//! `coracle members`.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use coracle_client::{
    ChangeMember, Client, MemberChange, MemberChanged, MemberInfo, MemberList, MemberRole, node_id,
};
use tokio::time::sleep;

use super::failure::Exit;
use super::{Failure, Global, console, token};

/// Between two looks at what is awaited.
const POLL: Duration = Duration::from_millis(200);
/// Between two lines about what is awaited.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a change may take to reach every group, unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// List the nodes; needs no leader
    List,
    /// Make a ticket for a new node, and show the line that starts it
    Add(token::Join),
    /// Give a learner a vote; it gets it once it has caught up
    Promote(Promote),
    /// Take a node's vote; it goes on as a learner
    Demote(Target),
    /// Remove a node, for good
    Remove(Remove),
    /// Let one node take another's place, and remove that
    Replace(Replace),
    /// Say where a node is reached from now on
    SetAddress(SetAddress),
    /// Say who is to lead rather; the default is 4
    SetPriority(SetPriority),
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The node: its id (4 or n4), or its name
    node: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Only if the members were last changed at this index (see `coracle members list`)
    #[arg(long, value_name = "INDEX")]
    if_index: Option<u64>,
    /// Return when the change is recorded; the groups follow by themselves
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Promote {
    #[command(flatten)]
    target: Target,
    /// What it becomes: voter, or witness, which votes without running any fsm
    #[arg(long, default_value = "voter")]
    role: MemberRole,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Its fsms go to the nodes that stay, group by group; then its connections are refused and it stops.
Its id is never used again. Refused if a majority of the voters that would be left does not answer.

Example:
  coracle members remove n3")]
pub(super) struct Remove {
    #[command(flatten)]
    target: Target,
    /// Record it although a majority of those that are left does not answer; it is carried out as
    /// soon as one does
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
NEW must have joined already: `coracle token create join --role learner` makes its ticket. It
takes the role of OLD when it has caught up; OLD leaves at that moment and is removed for good.

Example:
  coracle members replace n2 n4")]
pub(super) struct Replace {
    /// The node that goes
    old: String,
    /// The node that comes
    new: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(super) struct SetAddress {
    #[command(flatten)]
    target: Target,
    /// For its peers, e.g. 10.0.0.4:7400
    #[arg(long, value_name = "IP:PORT")]
    quic: String,
    /// For its clients, e.g. 127.0.0.1:7401
    #[arg(long, value_name = "IP:PORT")]
    http: String,
}

#[derive(Debug, Args)]
pub(super) struct SetPriority {
    #[command(flatten)]
    target: Target,
    /// 0 to 255; the highest leads among equals
    priority: u8,
}

impl Members {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let (node, how, change, force) = match self {
            Self::List => return list(&client, global).await,
            Self::Add(join) => return join.run(global).await,
            Self::Promote(promote) => {
                let role = promote.role;
                let Target { node, how } = &promote.target;
                (node, how, MemberChange::Promote { role }, false)
            }
            Self::Demote(Target { node, how }) => (node, how, MemberChange::Demote, false),
            Self::Remove(Remove { target, force }) => {
                (&target.node, &target.how, MemberChange::Remove, *force)
            }
            Self::Replace(Replace { old, new, how }) => {
                let by = resolve(&client.members().await?, new)?;
                (old, how, MemberChange::Replace { by }, false)
            }
            Self::SetAddress(SetAddress { target, quic, http }) => {
                let (quic, http) = (quic.clone(), http.clone());
                let change = MemberChange::Address { quic, http };
                (&target.node, &target.how, change, false)
            }
            Self::SetPriority(SetPriority { target, priority }) => {
                let priority = *priority;
                let change = MemberChange::Priority { priority };
                (&target.node, &target.how, change, false)
            }
        };
        let node = resolve(&client.members().await?, node)?;
        let change = ChangeMember {
            change,
            if_index: how.if_index,
            force,
        };
        let changed = client.change_member(node, &change).await?;
        if !how.no_wait {
            wait(&client, node, &change.change, global).await?;
        }
        report(&changed, global)
    }
}

/// The id of a node that is named by id or name.
pub(super) fn resolve(list: &MemberList, text: &str) -> Result<u64, Failure> {
    // An id first: no name may stand in for the id of another node.
    if let Some(id) = node_id(text) {
        return Ok(id);
    }
    let mut members = list.members.iter();
    let named = members.find(|member| member.name.as_deref() == Some(text));
    named.map(|member| member.node).ok_or_else(|| {
        Failure::usage(format!(
            "{text:?} is no node: want an id, as n4 or 4, or a name of `coracle members list`"
        ))
    })
}

async fn list(client: &Client, global: &Global) -> Result<(), Failure> {
    let list = client.members().await?;
    if global.json() {
        return console::json(&list);
    }
    console::data(&text(&list))?;
    console::say(&summary(&list));
    Ok(())
}

fn text(list: &MemberList) -> String {
    let head = [
        "NODE", "NAME", "ROLE", "STATE", "QUIC", "HTTP", "MATCHED", "LAG", "FSMS", "PRIORITY",
    ];
    let rows = list.members.iter().map(row);
    let head = head.map(str::to_owned).to_vec();
    console::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn row(member: &MemberInfo) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    vec![
        format!("n{}", member.node),
        member.name.clone().unwrap_or_else(|| "-".into()),
        member.role.to_string(),
        state(member),
        member.quic.clone(),
        member.http.clone(),
        number(member.matched),
        number(member.lag),
        member.fsms.to_string(),
        member.priority.to_string(),
    ]
}

fn state(member: &MemberInfo) -> String {
    let mut words = vec![if !member.reachable {
        "unreachable".to_owned()
    } else if member.leads {
        "leader".to_owned()
    } else {
        "up".to_owned()
    }];
    if member.leaving {
        words.push("leaving".into());
    }
    if let Some(role) = member.becomes {
        words.push(format!("becomes {role}"));
    }
    if let Some(old) = member.replaces {
        words.push(format!("replaces n{old}"));
    }
    words.join(", ")
}

fn summary(list: &MemberList) -> String {
    let leader = match list.leader {
        Some(leader) => format!("leader n{leader}"),
        None => "no leader: a majority of the voters must be up and reach each other".to_owned(),
    };
    let tolerance = match list.tolerance {
        Some(1) => "1 voter may fail".to_owned(),
        Some(n) => format!("{n} voters may fail"),
        None => "nothing can be decided".to_owned(),
    };
    let pending = match list.pending.as_slice() {
        [] => String::new(),
        groups => format!(" \u{b7} still changing: {}", groups.join(", ")),
    };
    format!(
        "as n{} sees it \u{b7} {leader} \u{b7} {tolerance} \u{b7} index {}{pending}",
        list.view, list.index
    )
}

/// Waits until every group has followed.
async fn wait(
    client: &Client,
    node: u64,
    change: &MemberChange,
    global: &Global,
) -> Result<(), Failure> {
    wait_until(client, global, |list| outstanding(list, node, change)).await
}

/// Waits until the group of one fsm has the members that it is to have.
pub(super) async fn wait_for_groups(
    client: &Client,
    fsm: &str,
    global: &Global,
) -> Result<(), Failure> {
    let left = |list: &MemberList| list.pending.iter().find(|name| *name == fsm).cloned();
    wait_until(client, global, left).await
}

async fn wait_until(
    client: &Client,
    global: &Global,
    left: impl Fn(&MemberList) -> Option<String>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let patience = global.timeout.unwrap_or(PATIENCE);
    let mut said = started;
    loop {
        let left = match client.members().await {
            Ok(list) => left(&list),
            // Whoever led may have been the one that goes.
            Err(error) => Some(error.to_string()),
        };
        let Some(left) = left else {
            return Ok(());
        };
        if said.elapsed() >= LINE_INTERVAL {
            console::say(&format!("  waiting for {left} ({:?})", started.elapsed()));
            said = Instant::now();
        }
        if started.elapsed() > patience {
            return Err(Failure::new(
                Exit::TimedOut,
                format!(
                    "the change is recorded, but {left} has not followed within {patience:?}; it \
                     goes on by itself, see `coracle members list`"
                ),
            ));
        }
        sleep(POLL).await;
    }
}

/// What is still to be done, if anything.
fn outstanding(list: &MemberList, node: u64, change: &MemberChange) -> Option<String> {
    let member = list.members.iter().find(|member| member.node == node);
    let done = match (change, member) {
        (MemberChange::Remove | MemberChange::Replace { .. }, member) => member.is_none(),
        (MemberChange::Promote { role }, Some(member)) => member.role == *role,
        (MemberChange::Demote, Some(member)) => member.role == MemberRole::Learner,
        (MemberChange::Address { .. } | MemberChange::Priority { .. }, Some(_)) => return None,
        (_, None) => true,
    };
    if done && list.pending.is_empty() {
        return None;
    }
    Some(match list.pending.as_slice() {
        [] => format!("n{node}"),
        groups => groups.join(", "),
    })
}

fn report(changed: &MemberChanged, global: &Global) -> Result<(), Failure> {
    if global.json() {
        return console::json(changed);
    }
    if let (Some(before), Some(after)) = (changed.tolerance_before, changed.tolerance_after) {
        console::say(&format!(
            "voters that may fail: {before} before, {after} now"
        ));
    }
    console::data(&changed.index.to_string())
}
