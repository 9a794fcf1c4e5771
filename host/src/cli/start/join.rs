//! `coracle start --join`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coracle_client::{Client, Endpoint, MemberInfo};
use tokio::time::sleep;

use super::super::failure::Exit;
use super::super::progress::{Progress, Unit};
use super::super::{Failure, console, progress};
use super::{Start, log_to_stderr};
use crate::api::Service;
use crate::config::Config;
use crate::join::{FolderError, JoinFailure, Joiner, NodeFolder};
use crate::server;
use crate::ticket::Ticket;

/// Between two looks at how far it has come.
const POLL: Duration = Duration::from_millis(300);
/// For one look at another node.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(start: &Start, ticket: Ticket, path: &Path) -> Result<(), Failure> {
    let folder = NodeFolder::open(path, &ticket).map_err(JoinFailure::from)?;
    let mut others = Vec::new();
    if folder.has_joined() {
        console::say(&format!("{} has joined already", path.display()));
        let config = Config::load(&folder.config())?;
        for unused in unused(start, &config) {
            console::say(&unused);
        }
    } else {
        ticket.check(SystemTime::now())?;
        let label = format!("joining {}", ticket.cluster);
        let joiner = Joiner {
            ticket,
            folder: folder.clone(),
            name: start.name.clone(),
            quic: start.quic,
            http: start.http,
        };
        let answer = progress::during(&label, joiner.join()).await?;
        console::say(&format!(
            "certificate issued (n{}), joined as learner; from now on: coracle start --config {}",
            answer.node,
            folder.config().display()
        ));
        others = answer.others;
    }
    let mut config = Config::load(&folder.config())?;
    config.trace_events.clone_from(&start.trace_events);
    let log = log_to_stderr(&config.log.level)?;
    server::run_with(config, log, |service| watch(service, others))
        .await
        .map_err(|e| Failure::other(format!("{e:#}")))
}

/// What was asked for and is not so: a node that has joined is what its configuration says.
fn unused(start: &Start, config: &Config) -> Vec<String> {
    let listen = &config.listen;
    let addresses = [
        ("--quic", start.quic, listen.quic),
        ("--http", start.http, listen.http),
    ];
    let moved = addresses.into_iter().filter_map(|(option, wanted, is)| {
        let wanted = wanted.filter(|wanted| *wanted != is)?;
        Some(format!(
            "{option} {wanted} is not used: it stays at {is}; to move it, change `listen` and its \
             entry of `peers` in its configuration"
        ))
    });
    let named = start.name.as_ref();
    let named =
        named.map(|name| format!("--name {name} is not used: names are given when joining"));
    moved.chain(named).collect()
}

/// Shows how the node catches up, until it is what its ticket makes of it.
async fn watch(service: Arc<dyn Service>, others: Vec<String>) {
    let others: Vec<Endpoint> = others.iter().filter_map(|url| url.parse().ok()).collect();
    if others.is_empty() {
        return;
    }
    let client = Client::builder(others).timeout(LOOK_TIMEOUT).build();
    let Ok(client) = client else { return };
    let mut shown: Option<(u64, Progress)> = None;
    loop {
        if let (Ok(own), Ok(there)) = (service.status().await, client.status().await) {
            let count = |status: &coracle_client::Status| -> u64 {
                status.fsms.iter().map(|fsm| fsm.applied_index).sum()
            };
            let (have, total) = (count(&own), count(&there));
            // More is written meanwhile; a bar that grows a little is shown as it is.
            let bar = match &shown {
                Some((of, bar)) if *of >= total => bar,
                _ => {
                    let bar = Progress::new("catching up", Unit::Commands, Some(total));
                    &shown.insert((total, bar)).1
                }
            };
            bar.set(have.min(total));
            let members = client.members().await.map(|list| list.members);
            let own = members.ok().and_then(|members| {
                let mut members = members.into_iter();
                members.find(|member| member.node == own.node)
            });
            if let Some(own) = own.filter(|own| own.becomes.is_none()) {
                bar.finish();
                return console::say(&settled(&own));
            }
        }
        sleep(POLL).await;
    }
}

fn settled(own: &MemberInfo) -> String {
    format!(
        "n{} has caught up and is a {} now; clients reach it at {}",
        own.node, own.role, own.http
    )
}

impl From<JoinFailure> for Failure {
    fn from(failure: JoinFailure) -> Self {
        let exit = match &failure {
            JoinFailure::Refused(_) => Exit::Forbidden,
            JoinFailure::NoAnswer { .. } => Exit::NoEndpoint,
            JoinFailure::Ports
            | JoinFailure::Listen { .. }
            | JoinFailure::Folder(FolderError::InUse(_)) => Exit::Usage,
            JoinFailure::Folder(_) | JoinFailure::Answer(_) => Exit::Other,
        };
        Self::new(exit, failure.to_string())
    }
}
