//! Configuration changes in the notation of the vectors: `v2 l3 r1 u4`.

use coracle_proto::{Change as Step, ConfigurationChange, Input, NodeId, ProposalId, Transition};

/// A change as the script wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The older form, which holds one step and no transition.
    v1: bool,
    text: String,
    pub(crate) steps: Vec<Step>,
    transition: Transition,
}

impl Change {
    pub(crate) fn parse(text: &str, v1: bool, transition: Option<&str>) -> Result<Self, String> {
        let steps = steps(text)?;
        let transition = match transition {
            None | Some("auto") => Transition::Auto,
            Some("implicit") => Transition::Implicit,
            Some("explicit") => Transition::Explicit,
            Some(other) => return Err(format!("no such transition: {other}")),
        };
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(Self {
            v1,
            text: words.join(" "),
            steps,
            // There several steps are always joint, here only several voters.
            transition: match transition {
                Transition::Auto if words.len() > 1 => Transition::Implicit,
                other => other,
            },
        })
    }

    /// Nothing but updates of addresses, which are not in the configuration.
    pub(crate) fn is_only_updates(&self) -> bool {
        self.steps.is_empty() && !self.text.is_empty()
    }

    /// As it is asked of the core.
    pub(crate) fn input(&self, id: ProposalId) -> Input {
        Input::ChangeConfiguration {
            id,
            change: ConfigurationChange {
                expect: None,
                changes: self.steps.clone(),
                transition: self.transition,
            },
        }
    }

    /// The entry as etcd-raft prints it.
    pub(crate) fn label(&self) -> String {
        let kind = match self.v1 {
            true => "EntryConfChange",
            false => LEAVE,
        };
        format!("{kind} {}", self.text).trim_end().to_owned()
    }
}

/// An entry that leaves a joint configuration, as etcd-raft prints it.
pub(crate) const LEAVE: &str = "EntryConfChangeV2";

/// The steps of a change; updates are left out.
pub(crate) fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for word in text.split_whitespace() {
        let unknown = || format!("no such change: {word}");
        let (kind, number) = word.split_at_checked(1).ok_or_else(unknown)?;
        let node = NodeId(number.parse().map_err(|_| unknown())?);
        let step = match kind {
            "v" => Step::Voter(node),
            "l" => Step::Learner(node),
            "r" => Step::Remove(node),
            "u" => continue,
            _ => return Err(unknown()),
        };
        steps.push(step);
    }
    Ok(steps)
}
