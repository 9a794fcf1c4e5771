//! Judges a trace, one event after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::ReplicaId;
use crate::event::{Event, HardState, What};
use crate::refusal::{Verdict, contradiction};
use crate::spec::Spec;

/// All groups of a trace, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Validator {
    groups: BTreeMap<u64, Spec>,
    /// The place of the next event of each node.
    next: BTreeMap<u64, u64>,
    /// Nodes that ask for pre-votes.
    careful: BTreeSet<u64>,
    /// The events come in the order in which they happened.
    ordered: bool,
}

impl Validator {
    /// For events that come in the order in which they happened: then a read has to show whatever
    /// anybody had committed when it was asked for.
    pub fn ordered() -> Self {
        Self {
            ordered: true,
            ..Self::default()
        }
    }

    /// Takes the next event, if something that the specification allows explains it; else nothing
    /// is changed.
    pub fn take(&mut self, event: &Event) -> Verdict {
        let next = self.next.entry(event.node).or_default();
        if event.seq != *next {
            let expected = *next;
            return contradiction(format!("the trace lacks event {expected} of this node"));
        }
        match &event.what {
            What::Boot { pre_vote } => {
                match pre_vote {
                    true => self.careful.insert(event.node),
                    false => self.careful.remove(&event.node),
                };
                let groups = self.groups.values_mut();
                groups.for_each(|group| group.boot(event.node));
            }
            what => self.judge(event.node, event.group, what)?,
        }
        *self.next.entry(event.node).or_default() += 1;
        Ok(())
    }

    fn judge(&mut self, node: u64, group: u64, what: &What) -> Verdict {
        let spec = self.groups.entry(group).or_default();
        match what {
            What::Host {
                id,
                born,
                configuration,
            } => {
                spec.pre_votes.careful.clone_from(&self.careful);
                let born = *born;
                return spec.host(ReplicaId { node, born }, id, configuration);
            }
            What::Start {
                born,
                term,
                vote,
                floor,
                last,
            } => {
                spec.pre_votes.careful.clone_from(&self.careful);
                let (born, term, vote) = (*born, *term, *vote);
                let hard_state = HardState { term, vote };
                return spec.start(ReplicaId { node, born }, hard_state, floor.index, *last);
            }
            _ => {}
        }
        // What was asked of a replica that ended may become durable after its end.
        if let What::Durable { id } = what
            && let Some(writer) = spec.writer(node, id)
        {
            return spec.durable(writer, id);
        }
        let Some(own) = spec.hosted(node) else {
            return match what.is_of_a_member() {
                true => contradiction("this node has no replica of the group"),
                false => Ok(()),
            };
        };
        match what {
            What::Write {
                id,
                hard_state,
                entries,
            } => spec.write(own, id, *hard_state, entries),
            What::Install {
                id,
                hard_state,
                last,
            } => spec.install(own, id, *hard_state, *last),
            What::Compact { id, last } => spec.compact(own, id, *last),
            What::Remove { id } => spec.remove(own, id),
            What::Durable { id } => spec.durable(own, id),
            What::Leads { term } => spec.leads(own, *term),
            What::Grants { term, to } => spec.grants(own, *term, *to),
            What::Acknowledges { term, index } => spec.acknowledges(own, *term, *index),
            What::Commit { index } => spec.commit(own, *index),
            What::Boot { .. } | What::Start { .. } | What::Host { .. } => Ok(()),
            _ => self.judge_talk(own, group, what),
        }
    }

    /// What leaves no mark on any disk.
    fn judge_talk(&mut self, own: ReplicaId, group: u64, what: &What) -> Verdict {
        let ordered = self.ordered;
        let spec = self.groups.entry(group).or_default();
        match *what {
            What::StepsDown => spec.steps_down(own),
            What::AsksPreVote { term, last } => spec.asks_pre_vote(own, term, last),
            What::HearsPreVote { term, by } => spec.hears_pre_vote(own, term, by),
            What::GrantsPreVote { term, to } => spec.grants_pre_vote(own, term, to),
            What::HandsOver { term, to } => spec.hands_over(own, term, to),
            What::Reads { ticket, lease } => spec.reads(own, ticket, lease, ordered),
            What::ReadPoint { ticket, index } => spec.read_point(own, ticket, index),
            What::Round { term, round } => spec.round(own, term, round),
            What::Echoes {
                term,
                to,
                round,
                promised,
            } => spec.echoes(own, term, (to, round), promised),
            What::Asks { to, round } => spec.asks(own, to, round),
            What::HearsQuestion { by, round, lease } => {
                spec.hears_question(own, (by, round), lease)
            }
            What::Tells {
                term,
                to,
                round,
                index,
            } => spec.tells(own, term, (to, round), index),
            _ => Ok(()),
        }
    }

    /// How many entries are known to be committed, over all groups.
    pub fn committed(&self) -> u64 {
        self.groups.values().map(Spec::committed).sum()
    }

    /// Terms that somebody led, over all groups.
    pub fn leaders(&self) -> usize {
        self.groups.values().map(Spec::led).sum()
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }
}
