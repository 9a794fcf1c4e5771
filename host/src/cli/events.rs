//! `coracle events`.

use std::time::Duration;

use clap::Args;
use coracle_client::{Client, ClientError, Event, EventFilter, EventKind};
use tokio::sync::mpsc;

use super::{Failure, Global, console};

/// Events of all nodes that may wait to be printed.
const WAITING: usize = 256;

/// Between two tries to reach a node again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
Follows every endpoint until it is interrupted; goes on where it was when a node comes back. With
-o json one object a line.

Examples:
  coracle events --kinds leader,membership
  coracle events --fsm kv -o json")]
pub(super) struct Events {
    /// Only these: leader, membership, snapshot, fsm, peer, node
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kinds: Vec<EventKind>,
    /// Only those of this fsm
    #[arg(long, value_name = "NAME")]
    fsm: Option<String>,
    /// Begin after this event instead of now; for one endpoint
    #[arg(long, value_name = "ID")]
    from: Option<u64>,
    /// End after so many
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

impl Events {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let filter = EventFilter {
            kinds: self.kinds.iter().copied().collect(),
            fsm: self.fsm.clone(),
        };
        let (sender, mut events) = mpsc::channel(WAITING);
        for endpoint in global.endpoints() {
            let client = global.client_of(vec![endpoint])?;
            let follower = follow(client, filter.clone(), self.from, sender.clone());
            tokio::spawn(follower);
        }
        drop(sender);
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            match events.recv().await {
                Some(Ok(event)) => print(global, &event)?,
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
            left -= 1;
        }
        Ok(())
    }
}

/// Follows one node for good. A node that never answered is an error; one that goes away is
/// waited for.
async fn follow(
    client: Client,
    filter: EventFilter,
    mut from: Option<u64>,
    sender: mpsc::Sender<Result<Event, ClientError>>,
) {
    let mut known = false;
    while !sender.is_closed() {
        match client.events(&filter, from).await {
            Ok(mut stream) => {
                known = true;
                while let Ok(Some(event)) = stream.next().await {
                    from = Some(event.id);
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) if !known || matches!(error, ClientError::Problem(_)) => {
                // Whoever printed them may have ended.
                let _ = sender.send(Err(error)).await;
                return;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn print(global: &Global, event: &Event) -> Result<(), Failure> {
    if global.json() {
        return console::json(event);
    }
    let what = serde_json::to_value(&event.what).map_err(|e| Failure::other(e.to_string()))?;
    let mut words = Vec::new();
    if let Some(members) = what.as_object() {
        let kind = members.get("type").and_then(|kind| kind.as_str());
        words.push(kind.unwrap_or_default().to_owned());
        let others = members.iter().filter(|(name, _)| *name != "type");
        words.extend(others.map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        }));
    }
    let group = event.group.map(|group| format!("group {group}"));
    let about = event.fsm.clone().or(group).unwrap_or_else(|| "-".into());
    console::data(&format!("n{} {about} {}", event.node, words.join(" ")))
}
