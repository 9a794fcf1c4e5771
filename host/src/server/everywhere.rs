//! The same question to all other nodes, and how many have then what it was about.

use std::sync::Arc;

use coracle_client::Code;
use coracle_proto::NodeId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shell;
use super::call::{Call, Failure};

/// Who has it.
#[derive(Debug)]
pub(super) struct Asked {
    nodes: usize,
    /// This node included.
    have: usize,
    /// Why each of the others has it not.
    missing: Vec<String>,
}

impl Shell {
    /// Asks every other node of `all`; this one has it. A failure that `ends` says so of ends it at
    /// once, with the node that gave it.
    pub(super) async fn ask_everywhere(
        self: &Arc<Self>,
        all: &[NodeId],
        call: &Call,
        deadline: Instant,
        ends: fn(&Failure) -> bool,
    ) -> Result<Asked, (NodeId, Failure)> {
        let mut answers = JoinSet::new();
        for peer in all.iter().copied().filter(|peer| *peer != self.node) {
            let shell = Arc::clone(self);
            let call = call.clone();
            answers.spawn(async move { (peer, shell.ask(peer, &call, deadline).await) });
        }
        let mut asked = Asked {
            nodes: all.len(),
            have: 1,
            missing: Vec::new(),
        };
        while let Some(answer) = answers.join_next().await {
            match answer {
                Ok((_, Ok(_))) => asked.have += 1,
                Ok((peer, Err(failure))) if ends(&failure) => return Err((peer, failure)),
                Ok((peer, Err(failure))) => {
                    asked.missing.push(format!("{peer}: {}", failure.detail))
                }
                Err(error) => asked.missing.push(error.to_string()),
            }
        }
        Ok(asked)
    }
}

impl Asked {
    /// Why some have it not, if a majority has; `what` is what they should have.
    pub(super) fn by_a_majority(self, what: &str) -> Result<Vec<String>, Failure> {
        if 2 * self.have > self.nodes {
            return Ok(self.missing);
        }
        let detail = format!(
            "{what} is on {} of {} nodes, a majority is needed: {}",
            self.have,
            self.nodes,
            self.missing.join("; ")
        );
        Err(Failure::not_applied(Code::Unavailable, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(nodes: usize, have: usize) -> Asked {
        Asked {
            nodes,
            have,
            missing: vec!["n3: no answer".into()],
        }
    }

    #[test]
    fn half_of_the_nodes_are_no_majority() {
        let refused = asked(4, 2).by_a_majority("plugin p").unwrap_err();
        assert_eq!(
            refused.detail,
            "plugin p is on 2 of 4 nodes, a majority is needed: n3: no answer"
        );
        let missing = asked(3, 2).by_a_majority("plugin p").unwrap();
        assert_eq!(missing, ["n3: no answer"]);
    }
}
