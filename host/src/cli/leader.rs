//! `coracle leader`, `coracle node`, `coracle barrier`.

use clap::{Args, Subcommand};
use coracle_client::{Client, LeaderOrder, Leadership, node_id};

use super::{Failure, Global, console, members, progress};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Without --fsm it is about group 0, the system group. `campaign` and `forget` act on the node that
--endpoint names; the others find the leader themselves.

Examples:
  coracle leader show
  coracle leader transfer n2 --fsm kv    to node 2
  coracle leader transfer --fsm kv       to the node that is best placed
  coracle leader spread                  leaders of all fsms over all nodes")]
pub(super) enum Leader {
    /// Who leads each group, as the asked node knows
    Show(Which),
    /// Hand leadership over; returns when another node leads
    Transfer(Transfer),
    /// Have the leader hand over to whoever is best placed
    StepDown(Which),
    /// Have the asked node stand for election; returns when it leads
    Campaign(Which),
    /// Have the asked node follow nobody until a leader speaks again
    Forget(Which),
    /// Have a majority confirm that the leader leads
    Verify(Which),
    /// Spread the leaders of all fsms over the nodes, a few transfers at a time
    Spread,
}

/// Whose leadership.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The fsm; without it, group 0
    #[arg(long, value_name = "NAME")]
    fsm: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Transfer {
    /// To this node, its id (2 or n2) or its name; without it, to the one that is best placed
    node: Option<String>,
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn order(&self) -> LeaderOrder {
        LeaderOrder {
            fsm: self.fsm.clone(),
            to: None,
        }
    }
}

impl Transfer {
    async fn to(&self, client: &Client) -> Result<Option<u64>, Failure> {
        let Some(text) = &self.node else {
            return Ok(None);
        };
        match node_id(text) {
            Some(id) => Ok(Some(id)),
            None => members::resolve(&client.members().await?, text).map(Some),
        }
    }
}

impl Leader {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let led = match self {
            Self::Show(which) => {
                let leaders = client.leaders(which.fsm.as_deref()).await?;
                return print(global, &leaders, &leaders.groups);
            }
            Self::Spread => {
                let spreading = client.spread_leaders();
                let spread = progress::during("spreading leaders", spreading).await?;
                return print_spread(global, &spread);
            }
            Self::Transfer(transfer) => {
                let order = LeaderOrder {
                    to: transfer.to(&client).await?,
                    ..transfer.which.order()
                };
                client.transfer_leader(&order).await?
            }
            Self::StepDown(which) => client.step_down(&which.order()).await?,
            Self::Campaign(which) => client.campaign(&which.order()).await?,
            Self::Forget(which) => client.forget_leader(&which.order()).await?,
            Self::Verify(which) => client.verify_leader(&which.order()).await?,
        };
        print(global, &led, std::slice::from_ref(&led))
    }
}

fn print(
    global: &Global,
    json: &impl serde::Serialize,
    groups: &[Leadership],
) -> Result<(), Failure> {
    if global.json() {
        return console::json(json);
    }
    let mut rows = vec![
        ["FSM", "GROUP", "LEADER", "TERM"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(groups.iter().map(|group| {
        vec![
            group.fsm.clone().unwrap_or_else(|| "(system)".into()),
            group.group.to_string(),
            group
                .leader
                .map_or_else(|| "-".into(), |leader| format!("n{leader}")),
            group.term.to_string(),
        ]
    }));
    console::data(&console::table(&rows))
}

fn print_spread(global: &Global, spread: &coracle_client::Spread) -> Result<(), Failure> {
    for failed in &spread.failed {
        console::say(&format!(
            "{} stays where it is: {}",
            failed.fsm, failed.reason
        ));
    }
    if global.json() {
        return console::json(spread);
    }
    for moved in &spread.moved {
        console::say(&format!("{}: n{} -> n{}", moved.fsm, moved.from, moved.to));
    }
    let mut rows = vec![["NODE", "LEADS"].map(str::to_owned).to_vec()];
    let leaders = spread.leaders.iter();
    rows.extend(leaders.map(|(node, count)| vec![format!("n{node}"), count.to_string()]));
    console::data(&console::table(&rows))
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Acts on the node that --endpoint names. A drained node is not ready, leads nothing that another node
can lead, and serves whoever still asks it; it is so until `undrain` or a restart.

Example:
  coracle node drain --endpoint http://127.0.0.1:7403")]
pub(super) enum Node {
    /// Hand over all leaderships and take no new ones
    Drain,
    /// Take part as before
    Undrain,
}

impl Node {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let on = matches!(self, Self::Drain);
        let drained = client.drain(on).await?;
        if global.json() {
            return console::json(&drained);
        }
        if !drained.still_leads.is_empty() {
            let groups: Vec<_> = drained.still_leads.iter().map(u64::to_string).collect();
            console::say(&format!(
                "it still leads the groups {}: nobody could take over",
                groups.join(", ")
            ));
        }
        let state = if drained.draining {
            "drained"
        } else {
            "serving"
        };
        console::data(&format!("n{} {state}", drained.node))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Returns once everything that was acknowledged before is applied on the node that answers; prints
the index.

Example:
  coracle barrier kv --endpoint http://127.0.0.1:7405")]
pub(super) struct Barrier {
    /// The fsm
    fsm: String,
}

impl Barrier {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let barrier = global.client()?.barrier(&self.fsm).await?;
        if global.json() {
            console::json(&barrier)
        } else {
            console::data(&barrier.index.to_string())
        }
    }
}
