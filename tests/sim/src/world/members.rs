//! Members that come and go, and leadership that is handed over.

use std::collections::BTreeMap;

use coracle_driver::task::{Answer, Outcome, Ticket};
use coracle_driver::{Event, Stranger};
use coracle_proto::{Change, Configuration, ConfigurationChange, GroupId, NodeId};
use coracle_proto::{ReplicaId, Transition};

use super::{Action, World};
use crate::invariants::{Check, violated};
use crate::plan::MS;

/// Tickets of the administrator have nothing above this bit; those of clients have.
const CLIENT_BITS: u32 = 40;

/// Longest time until a host does what the directory wants, nanoseconds.
const MAX_RECONCILE_DELAY: u64 = 300 * MS;

/// Who changes members and hands leadership over.
#[derive(Debug, Default)]
pub(super) struct Administrator {
    tickets: u64,
    /// Which group each ticket is about.
    waiting: BTreeMap<Ticket, GroupId>,
}

impl World {
    pub(super) fn is_administrator(&self, ticket: Ticket) -> bool {
        ticket.0 >> CLIENT_BITS == 0
    }

    pub(super) fn ticket(&mut self, group: GroupId) -> Ticket {
        self.administrator.tickets += 1;
        let ticket = Ticket(self.administrator.tickets);
        self.administrator.waiting.insert(ticket, group);
        ticket
    }

    pub(super) fn change_members(
        &mut self,
        node: NodeId,
        group: GroupId,
        changes: Vec<Change>,
        transition: Transition,
    ) {
        let ticket = self.ticket(group);
        let change = ConfigurationChange {
            expect: None,
            changes,
            transition,
        };
        let event = Event::ChangeMembers {
            group,
            change,
            ticket,
        };
        self.tell(node, event);
    }

    pub(super) fn hand_over(&mut self, node: NodeId, to: Option<NodeId>) {
        for group in self.group_ids() {
            let ticket = self.ticket(group);
            self.tell(node, Event::Transfer { group, to, ticket });
        }
    }

    /// The administrator has an answer: one per ticket, and a true one.
    pub(super) fn administered(&mut self, ticket: Ticket, answer: &Answer) -> Check {
        let text = || format!("the administrator gets {answer:?}");
        self.trace.note(self.now, (14, ticket), text);
        let Some(group) = self.administrator.waiting.remove(&ticket) else {
            return violated(
                "one answer",
                format!("{ticket:?} is answered {answer:?} too"),
            );
        };
        match answer {
            Answer::Changed { index } => {
                self.count("members changed");
                self.invariants.changed(group, *index)
            }
            Answer::Transferred { .. } => {
                self.count("transfers");
                Ok(())
            }
            Answer::Applied { outcome, .. } => {
                let done = *outcome == Outcome::Done;
                let asked = self.imports.is_asked(ticket);
                self.count(match asked {
                    true if done => "states restored",
                    // Its state machine may not have been created yet.
                    true if !matches!(outcome, Outcome::HostEntryFailed { .. }) => {
                        "restores refused"
                    }
                    true => return violated("restore", format!("it ends as {outcome:?}")),
                    false if done => "upgrades",
                    false => "upgrades failed",
                });
                Ok(())
            }
            Answer::NotApplied(_) => {
                self.count("administration refused");
                Ok(())
            }
            _ => {
                self.count("administration unknown");
                Ok(())
            }
        }
    }

    /// A leader speaks to a replica that is not here: the directory wants it.
    pub(super) fn welcome(&mut self, node: NodeId, stranger: &Stranger) {
        let configuration = match stranger.replica.born {
            0 => self.configuration(),
            _ => Configuration::default(),
        };
        let event = Event::Host {
            group: stranger.group,
            born: stranger.replica.born,
            configuration,
            create: Some(crate::spec()),
        };
        self.reconcile(node, event);
    }

    /// A replica here is no member any more.
    pub(super) fn evict(&mut self, node: NodeId, group: GroupId, replica: ReplicaId) {
        let text = || format!("{node} learns that {replica} was removed from {group}");
        self.trace.note(self.now, (15, node, group, replica), text);
        self.count("evictions");
        let born = replica.born;
        self.reconcile(node, Event::Remove { group, born });
    }

    fn reconcile(&mut self, node: NodeId, event: Event) {
        let time = self.random.below(MAX_RECONCILE_DELAY);
        self.after(time, Action::Tell { node, event });
    }

    /// A replica has ended for good.
    pub(super) fn end(&mut self, node: NodeId, group: GroupId) -> Check {
        self.count("replicas removed");
        let life = self.life(node);
        if let Some(running) = self.running(node) {
            running.workers.remove(&group);
            running.readers.remove(&group);
            running.freshness.forget(group);
        }
        self.retain(node, life, group, &[])
    }
}
