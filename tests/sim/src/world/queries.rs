//! Queries, as a host does them: by the reader of the node that is asked, once its state is fresh
//! enough; and the check of what all clients saw.

use std::time::Duration;

use coracle_driver::fsm::QueryError;
use coracle_driver::task::Ticket;
use coracle_history::History;
use coracle_proto::{GroupId, NodeId};

use super::{Action, World};
use crate::client::{Found, Query};
use crate::invariants::{Check, violated};

impl World {
    /// A query arrives at a node. Nobody hears of one that is down.
    pub(super) fn query(
        &mut self,
        node: NodeId,
        group: GroupId,
        ticket: Ticket,
        query: Query,
    ) -> Check {
        let Some(process) = self.processes.get_mut(&node) else {
            return Ok(());
        };
        let now = process.clock.at(self.now);
        if process.paused_until > self.now && process.running.is_some() {
            let again = Action::Request {
                to: node,
                group,
                ticket,
                ask: crate::client::Ask::Query(query),
            };
            let until = process.paused_until;
            self.at(until, again);
            return Ok(());
        }
        let Some(running) = &mut process.running else {
            return Ok(());
        };
        if let Some((index, asked)) = query.confirmed {
            running.freshness.confirmed(group, index, asked);
        }
        let Some(reader) = running.readers.get_mut(&group) else {
            self.found(ticket, Found::Nothing);
            return Ok(());
        };
        let applied = running
            .workers
            .get(&group)
            .map_or(0, |it| it.published().applied());
        let age = running.freshness.age(group, applied, now);
        let too_old = |most| age.is_none_or(|age| age > Duration::from_nanos(most));
        if query.max_staleness.is_some_and(too_old) {
            self.count("stale query refused as too old");
            self.found(ticket, Found::TooStale);
            return Ok(());
        }
        let answer = reader.query(now, query.min_index, query.body.as_bytes());
        if reader.status().differences > 0 {
            return violated("reader", format!("{node} {group}: {answer:?}"));
        }
        let found = match answer {
            Ok((index, reply)) => Found::Reply(index, reply),
            Err(QueryError::Behind { .. }) => {
                self.count("query of a node that is behind");
                Found::Nothing
            }
            Err(error) => {
                let now = self.now;
                let text = || format!("{node} {group} does not answer a query: {error}");
                self.trace.remark(now, text);
                Found::Nothing
            }
        };
        if query.max_staleness.is_some() {
            self.count("stale query within its bound");
        }
        self.found(ticket, found);
        Ok(())
    }

    fn found(
        &mut self,
        ticket: Ticket,
        #[cfg_attr(not(test), allow(unused_mut, reason = "tests change it"))] mut found: Found,
    ) {
        #[cfg(test)]
        super::planted::found(&mut found);
        let latency = self.network.latency();
        self.after(latency, Action::Found { ticket, found });
    }

    /// A client hears what came of its query.
    pub(super) fn hears(&mut self, ticket: Ticket, found: &Found) -> Check {
        let Some(client) = self.clients.iter().position(|client| client.owns(ticket)) else {
            return Ok(());
        };
        let text = || format!("client {} finds {found:?}", client + 1);
        self.trace.note(self.now, (16, ticket, found), text);
        let now = self.now;
        let wish = self.clients[client].queried(now, &mut self.invariants, ticket, found)?;
        self.grant(client, wish);
        Ok(())
    }

    /// What all clients asked and were told, and the log.
    pub(super) fn history(&self) -> History {
        let recorded = self.clients.iter().flat_map(|client| client.recorded());
        History {
            origin: format!("seed {}", self.plan.seed),
            operations: recorded.cloned().collect(),
            log: Some(self.invariants.log()),
        }
    }

    /// One copy, in the order of the log, could have shown it. Of a state that was restored that is not
    /// so; there the order of the log alone explains what clients were told, one answer after the other.
    pub(super) fn check_history(&mut self) -> Check {
        let mut history = self.history();
        for group in self.group_ids() {
            if self.invariants.is_restored(group) {
                let name = group.0.to_string();
                history.operations.retain(|it| it.group != name);
                history
                    .log
                    .iter_mut()
                    .for_each(|log| log.retain(|it| it.group != name));
            }
        }
        match coracle_history::check(&history) {
            Ok(report) => {
                let never = report.unknown - report.resolved;
                for (what, count) in [
                    ("queries answered", report.reads),
                    ("command answered again", report.retries),
                    ("unknown command that had happened", report.resolved),
                    ("unknown command that had not happened", never),
                ] {
                    *self.counts.entry(what).or_default() += count;
                }
                Ok(())
            }
            Err(violation) => violated("history", violation.to_string()),
        }
    }
}
