//! `coracle status`.

use clap::Args;
use coracle_client::{ClientError, RecoveredInfo, Status as NodeStatus};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::times::moment;
use super::{Failure, Global, console};

#[derive(Debug, Args)]
#[command(after_help = "\
Asks every endpoint and says which node says what; needs no leader. With -o json: the status of
the first node that answers (GET /v1/status), and `nodes` with the answer of each endpoint.

Example:
  coracle status --endpoint http://127.0.0.1:7401,http://127.0.0.1:7403")]
pub(super) struct Status {}

/// One endpoint's answer.
#[derive(Debug)]
pub(super) struct View {
    pub(super) endpoint: String,
    pub(super) status: Result<NodeStatus, ClientError>,
}

impl Status {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut views = ask_all(global).await?;
        if views.iter().all(|view| view.status.is_err())
            && let Err(error) = views.swap_remove(0).status
        {
            return Err(error.into());
        }
        if global.json() {
            console::json(&document(&views)?)
        } else {
            console::data(&text(&views))
        }
    }
}

/// Asks all endpoints at once; answers in their order.
async fn ask_all(global: &Global) -> Result<Vec<View>, Failure> {
    let mut tasks = JoinSet::new();
    for (position, endpoint) in global.endpoints().into_iter().enumerate() {
        let client = global.client_of(vec![endpoint.clone()])?;
        let endpoint = endpoint.to_string();
        tasks.spawn(async move {
            (
                position,
                View {
                    endpoint,
                    status: client.status().await,
                },
            )
        });
    }
    let mut views = tasks.join_all().await;
    views.sort_by_key(|(position, _)| *position);
    Ok(views.into_iter().map(|(_, view)| view).collect())
}

pub(super) fn document(views: &[View]) -> Result<Map<String, Value>, Failure> {
    let value = |status: &NodeStatus| {
        serde_json::to_value(status).map_err(|e| Failure::other(e.to_string()))
    };
    let first = views.iter().find_map(|view| view.status.as_ref().ok());
    let mut document = match first.map(value).transpose()? {
        Some(Value::Object(status)) => status,
        _ => Map::new(),
    };
    let nodes = views.iter().map(|view| {
        Ok(match &view.status {
            Ok(status) => json!({"endpoint": view.endpoint, "reachable": true,
                                 "status": value(status)?}),
            Err(error) => json!({"endpoint": view.endpoint, "reachable": false,
                                 "error": error.to_string()}),
        })
    });
    document.insert("nodes".into(), nodes.collect::<Result<Value, Failure>>()?);
    Ok(document)
}

/// Two tables: nodes, and fsms as each node sees them.
pub(super) fn text(views: &[View]) -> String {
    let head = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    let mut nodes = vec![head(&["NODE", "HTTP", "LEADER", "TERM"])];
    let mut fsms = vec![head(&[
        "FSM", "NODE", "STATE", "LEADER", "TERM", "APPLIED", "FIRST", "SNAPSHOT", "PLUGIN", "CHAIN",
    ])];
    for view in views {
        match &view.status {
            Ok(status) => {
                let node = format!("n{}", status.node);
                let leader = name(status.leader);
                nodes.push(vec![
                    node,
                    view.endpoint.clone(),
                    leader,
                    status.term.to_string(),
                ]);
                fsms.extend(fsm_rows(status));
            }
            Err(_) => nodes.push(head(&["?", &view.endpoint, "unreachable", "-"])),
        }
    }
    // By fsm, then by node: what should be equal stands one above the other.
    fsms[1..].sort_by(|a, b| a[..2].cmp(&b[..2]));
    let mut text = console::table(&nodes);
    for status in views.iter().filter_map(|view| view.status.as_ref().ok()) {
        if let Some(recovered) = &status.recovered {
            text = format!("{text}\n{}", recovery(status.node, recovered));
        }
    }
    if fsms.len() > 1 {
        text = format!("{text}\n\n{}", console::table(&fsms));
    }
    text
}

fn recovery(node: u64, recovered: &RecoveredInfo) -> String {
    let removed: Vec<String> = recovered
        .removed
        .iter()
        .map(|id| format!("n{id}"))
        .collect();
    format!(
        "n{node} was recovered by force at {}, without {}",
        moment(recovered.at),
        removed.join(", ")
    )
}

fn fsm_rows(status: &NodeStatus) -> impl Iterator<Item = Vec<String>> {
    let short = |hex: &str| hex.get(..12).unwrap_or(hex).to_owned();
    status.fsms.iter().map(move |fsm| {
        vec![
            fsm.name.clone(),
            format!("n{}", status.node),
            fsm.state.to_string(),
            name(fsm.leader),
            fsm.term.to_string(),
            fsm.applied_index.to_string(),
            fsm.first_index.to_string(),
            fsm.snapshot_index.to_string(),
            short(&fsm.plugin),
            short(&fsm.chain),
        ]
    })
}

fn name(leader: Option<u64>) -> String {
    leader.map_or_else(|| "unknown".to_owned(), |id| format!("n{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(node: u64) -> View {
        let status = NodeStatus {
            node,
            leader: Some(1),
            term: 2,
            fsms: Vec::new(),
            fsyncs: None,
            recovered: None,
        };
        View {
            endpoint: format!("http://n{node}"),
            status: Ok(status),
        }
    }

    fn silent() -> View {
        let status = Err(ClientError::Unreachable(Vec::new()));
        View {
            endpoint: "http://gone".into(),
            status,
        }
    }

    #[test]
    fn a_node_that_does_not_answer_is_shown_and_not_left_out() {
        let views = [silent(), view(2)];
        assert_eq!(
            text(&views),
            "NODE  HTTP         LEADER       TERM\n\
             ?     http://gone  unreachable  -\n\
             n2    http://n2    n1           2"
        );
        let document = document(&views).expect("json");
        assert_eq!(document["node"], 2);
        assert_eq!(document["nodes"][0]["reachable"], false);
        assert_eq!(document["nodes"][1]["status"]["leader"], 1);
    }
}
