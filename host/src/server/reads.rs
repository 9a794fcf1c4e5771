//! Queries: which state answers, and what makes it fresh enough.

use std::sync::Arc;
use std::time::Instant as StdInstant;

use coracle_client::Code;
use coracle_proto::{GroupId, Index};
use tokio::time::Instant;

use super::Shell;
use super::call::{Call, Failure, Reply};
use crate::api::{Consistency, Queried, QueryTerms};

impl Shell {
    /// Answers a query of a group on these terms.
    pub(super) async fn query(
        self: &Arc<Self>,
        group: GroupId,
        request: Vec<u8>,
        terms: QueryTerms,
        deadline: Instant,
    ) -> Result<Queried, Failure> {
        let min_index = terms.min_index.unwrap_or(0);
        let here = self.views.get(group).is_some();
        match terms.consistency {
            Consistency::Stale => self.query_stale(group, request, terms, deadline).await,
            Consistency::Linearizable | Consistency::Lease if here => {
                let lease = terms.consistency == Consistency::Lease;
                let point = self.confirm(group, lease, deadline).await?;
                let point = point.max(min_index);
                let reply = self.query_here(group, request, point, deadline).await?;
                self.queried(group, reply, terms.consistency)
            }
            Consistency::Linearizable | Consistency::Lease | Consistency::Leader => {
                let call = Call::Query {
                    group: group.0,
                    request,
                    min_index,
                };
                let reply = self.at_leader(call, deadline).await?;
                let leader = self.leader(group).map_or(self.node.0, |leader| leader.0);
                let queried = self.queried(group, reply, Consistency::Leader)?;
                Ok(Queried {
                    node: leader,
                    ..queried
                })
            }
        }
    }

    /// A read point of the group: what was committed when its leader confirmed that it leads.
    pub(super) async fn confirm(
        self: &Arc<Self>,
        group: GroupId,
        lease: bool,
        deadline: Instant,
    ) -> Result<Index, Failure> {
        let (asked, began) = (self.freshness.now(), StdInstant::now());
        let call = Call::ReadPoint {
            group: group.0,
            lease,
        };
        match self.at_leader(call, deadline).await? {
            Reply::At { index } => {
                self.freshness.confirmed(group, index, asked);
                let took = began.elapsed().as_secs_f64();
                self.metrics.raft.read_index.observe(took);
                Ok(index)
            }
            reply => Err(Failure::unknown(format!(
                "a read was answered with {reply:?}"
            ))),
        }
    }

    /// Answers from what this node has applied, if that is not older than it may be. If it is, one
    /// question to the leader makes it fresh, for all that ask within the bound.
    async fn query_stale(
        self: &Arc<Self>,
        group: GroupId,
        request: Vec<u8>,
        terms: QueryTerms,
        deadline: Instant,
    ) -> Result<Queried, Failure> {
        let mut min_index = terms.min_index.unwrap_or(0);
        let applied = || self.views.get(group).map_or(0, |status| status.applied);
        if let Some(most) = terms.max_staleness {
            let fresh = |age: Option<std::time::Duration>| age.is_some_and(|age| age <= most);
            if !fresh(self.freshness.age(group, applied())) {
                match self.confirm(group, false, deadline).await {
                    Ok(point) => {
                        min_index = min_index.max(point);
                        self.wait_applied(group, point, deadline).await?;
                    }
                    Err(failure) => return Err(self.too_stale(group, most, Some(failure))),
                }
            }
            if !fresh(self.freshness.age(group, applied())) {
                return Err(self.too_stale(group, most, None));
            }
        }
        let reply = self.query_here(group, request, min_index, deadline).await?;
        let queried = self.queried(group, reply, Consistency::Stale)?;
        let staleness = self.freshness.age(group, queried.index);
        Ok(Queried {
            staleness,
            ..queried
        })
    }

    fn too_stale(
        &self,
        group: GroupId,
        most: std::time::Duration,
        why: Option<Failure>,
    ) -> Failure {
        let applied = self.views.get(group).map_or(0, |status| status.applied);
        let age = match self.freshness.age(group, applied) {
            Some(age) => format!("{} ms old", age.as_millis()),
            None => "of unknown age".to_owned(),
        };
        let mut detail = format!(
            "the state here is {age}, and no more than {} ms are allowed",
            most.as_millis()
        );
        if let Some(failure) = why {
            detail = format!(
                "{detail}; the leader could not be asked: {}",
                failure.detail
            );
        }
        Failure::not_applied(Code::TooStale, detail)
    }

    fn queried(
        &self,
        group: GroupId,
        reply: Reply,
        consistency: Consistency,
    ) -> Result<Queried, Failure> {
        let Reply::Queried { index, reply } = reply else {
            return Err(Failure::unknown(format!(
                "a query was answered with {reply:?}"
            )));
        };
        Ok(Queried {
            index,
            reply,
            consistency,
            term: self.term(group),
            node: self.node.0,
            staleness: (consistency != Consistency::Stale).then_some(std::time::Duration::ZERO),
        })
    }
}
