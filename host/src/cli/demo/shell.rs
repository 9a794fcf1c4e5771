//! What the demo's shell understands.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use coracle_client::{Client, QueryOptions};
use serde_json::{Map, Value};

use super::super::local::LocalCluster;
use super::super::status::{self, View};
use super::super::{Failure, console, fsm};

const HELP: &str = "\
apply COMMAND...     change the state:  apply put boat coracle
query COMMAND...     ask:               query get boat
.kill nN             end a node as a crash does
.restart nN          start it again from its folder
.upgrade FSM FILE    go on with another plugin
.status              how each node sees the cluster
.help                this
.quit                end the demo
kv knows: put KEY VALUE, get KEY, del KEY, cas KEY OLD NEW, scan FROM TO N";

/// One line of input, understood.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Apply(String),
    Query(String),
    Kill(u64),
    Restart(u64),
    Upgrade(String, PathBuf),
    Status,
    Help,
    Quit,
}

/// What came out.
pub(super) enum Said {
    /// The same for people and for programs.
    Result(String, Map<String, Value>),
    Quit,
}

fn said(text: String, members: &[(&str, Value)]) -> Said {
    let members = members.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
    Said::Result(text, members.collect())
}

pub(super) struct Shell<'a> {
    cluster: &'a mut LocalCluster,
    client: Client,
    fsm: &'static str,
}

impl<'a> Shell<'a> {
    pub(super) fn new(cluster: &'a mut LocalCluster, client: Client, fsm: &'static str) -> Self {
        Self {
            cluster,
            client,
            fsm,
        }
    }

    pub(super) async fn run(&mut self, line: &str) -> Result<Said, Failure> {
        Ok(match parse(line)? {
            Line::Apply(command) => self.apply(command).await?,
            Line::Query(command) => self.query(command).await?,
            Line::Kill(node) => self.kill(node).await?,
            Line::Restart(node) => self.restart(node).await?,
            Line::Upgrade(name, file) => {
                let index = fsm::upgrade(&self.client, &name, &file).await?.index;
                let text = format!("{name} runs {} from index {index} on", file.display());
                said(text, &[("index", index.into())])
            }
            Line::Status => {
                let views = self.cluster.views().await?;
                Said::Result(status::text(&views), status::document(&views)?)
            }
            Line::Help => said(HELP.to_owned(), &[("help", HELP.into())]),
            Line::Quit => Said::Quit,
        })
    }

    async fn apply(&self, command: String) -> Result<Said, Failure> {
        let started = Instant::now();
        let applied = self.client.apply(self.fsm, Bytes::from(command)).await?;
        let reply = String::from_utf8_lossy(&applied.reply);
        let gap = if reply.is_empty() { "" } else { "  " };
        let time = millis(started);
        let text = format!("{reply}{gap}(index {}, {time})", applied.index);
        let mut members = Map::from_iter([
            ("index".to_owned(), applied.index.into()),
            ("replayed".to_owned(), applied.replayed.into()),
        ]);
        console::reply_members(&mut members, &applied.reply);
        Ok(Said::Result(text, members))
    }

    async fn query(&self, command: String) -> Result<Said, Failure> {
        let options = QueryOptions::default();
        let answer = self
            .client
            .query(self.fsm, Bytes::from(command), options)
            .await?;
        let text = String::from_utf8_lossy(&answer.reply).into_owned();
        let mut members = Map::from_iter([("index".to_owned(), answer.index.into())]);
        console::reply_members(&mut members, &answer.reply);
        Ok(Said::Result(text, members))
    }

    async fn kill(&mut self, node: u64) -> Result<Said, Failure> {
        let before = leader(&self.cluster.views().await?, self.fsm);
        self.cluster.kill_node(node).await?;
        if !self.cluster.has_majority() {
            let running = self.cluster.running();
            let all = self.cluster.files().count();
            let text = format!(
                "n{node} is killed; {running} of {all} nodes run, which is no majority: nothing is \
                 applied until one comes back (.restart n{node})"
            );
            return Ok(said(
                text,
                &[("killed", node.into()), ("leader", Value::Null)],
            ));
        }
        let started = Instant::now();
        let fsm = self.fsm;
        let leader = self.cluster.wait_for("new leader", |views| {
            leader(views, fsm).filter(|leader| *leader != node)
        });
        let leader = leader.await?;
        let text = if before == Some(leader) {
            format!("n{node} is killed; n{leader} goes on leading {fsm}")
        } else {
            let time = millis(started);
            format!("n{node} is killed; n{leader} leads {fsm} after {time}")
        };
        let members = [("killed", node.into()), ("leader", leader.into())];
        Ok(said(text, &members))
    }

    async fn restart(&mut self, node: u64) -> Result<Said, Failure> {
        let started = Instant::now();
        self.cluster.start_node(node).await?;
        if !self.cluster.has_majority() {
            let text = format!("n{node} runs again; still no majority");
            return Ok(said(text, &[("restarted", node.into())]));
        }
        let fsm = self.fsm;
        let caught_up = self.cluster.wait_for("node that has caught up", |views| {
            leader(views, fsm)?;
            let mine = applied(views, node, fsm)?;
            let best = views
                .iter()
                .filter_map(|view| applied(views, view.status.as_ref().ok()?.node, fsm));
            (Some(mine) >= best.max()).then_some(mine)
        });
        let index = caught_up.await?;
        let time = millis(started);
        let text = format!("n{node} is back and has applied {index} after {time}");
        let members = [("restarted", node.into()), ("applied_index", index.into())];
        Ok(said(text, &members))
    }
}

fn millis(since: Instant) -> String {
    format!("{:.1} ms", since.elapsed().as_secs_f64() * 1e3)
}

/// The leader of an fsm, if it says so itself.
fn leader(views: &[View], fsm: &str) -> Option<u64> {
    views.iter().find_map(|view| {
        let status = view.status.as_ref().ok()?;
        let leads = |f: &&coracle_client::FsmStatus| f.name == fsm && f.leader == Some(status.node);
        status.fsms.iter().find(leads).map(|_| status.node)
    })
}

fn applied(views: &[View], node: u64, fsm: &str) -> Option<u64> {
    let statuses = views.iter().filter_map(|view| view.status.as_ref().ok());
    let status = statuses.into_iter().find(|status| status.node == node)?;
    status
        .fsms
        .iter()
        .find(|f| f.name == fsm)
        .map(|f| f.applied_index)
}

fn parse(line: &str) -> Result<Line, Failure> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let some = |what: &str| match rest {
        "" => Err(Failure::usage(format!("{word}: want {what}"))),
        rest => Ok(rest.to_owned()),
    };
    match word {
        "apply" => some("a command").map(Line::Apply),
        "query" => some("a command").map(Line::Query),
        ".kill" => node(word, rest).map(Line::Kill),
        ".restart" => node(word, rest).map(Line::Restart),
        ".upgrade" => match rest.split_once(char::is_whitespace) {
            Some((fsm, file)) => Ok(Line::Upgrade(fsm.to_owned(), file.trim().into())),
            None => Err(Failure::usage("want .upgrade FSM FILE")),
        },
        ".status" => Ok(Line::Status),
        ".help" => Ok(Line::Help),
        ".quit" | ".exit" => Ok(Line::Quit),
        other => Err(Failure::usage(format!(
            "{other:?} is no command of this shell, see .help"
        ))),
    }
}

fn node(word: &str, text: &str) -> Result<u64, Failure> {
    let id = text.strip_prefix('n').and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::usage(format!("{word} {text:?}: want a node, like n1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_word_and_the_rest() {
        let parsed = |line| parse(line).map_err(|e| e.message().to_owned());
        assert_eq!(parsed("apply put a  b"), Ok(Line::Apply("put a  b".into())));
        assert_eq!(parsed("  query get a "), Ok(Line::Query("get a".into())));
        assert_eq!(parsed(".kill n3"), Ok(Line::Kill(3)));
        let upgrade = Line::Upgrade("kv".into(), "a b.wasm".into());
        assert_eq!(parsed(".upgrade kv a b.wasm"), Ok(upgrade));
        for bad in [
            "put a 1",
            "apply",
            ".kill",
            ".kill 1",
            ".kill nx",
            ".upgrade kv",
            ".what",
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
