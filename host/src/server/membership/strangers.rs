//! Replicas that a leader has added here: they begin when it speaks to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use coracle_driver::{Event, Stranger};
use coracle_proto::{Configuration, GroupId};
use tokio::sync::mpsc;
use tracing::info;

use super::super::{Shell, reconcile};

/// Hosts those that are wanted, until the node stops. The others are told again.
pub(in super::super) async fn welcome(shell: Arc<Shell>, mut strangers: mpsc::Receiver<Stranger>) {
    let mut told = BTreeSet::new();
    while let Some(stranger) = strangers.recv().await {
        if let Some(event) = host(&shell, &stranger) {
            if told.len() >= MAX_TOLD {
                told.clear();
            }
            if told.insert((stranger.group, stranger.replica)) {
                info!(group = %stranger.group, replica = %stranger.replica, from = %stranger.from,
                    "this node was added to a group");
            }
            shell.inbox.push(event);
        }
    }
}

/// Replicas of which it is remembered that they were logged.
const MAX_TOLD: usize = 1024;

fn host(shell: &Shell, stranger: &Stranger) -> Option<Event> {
    let group = stranger.group;
    if stranger.replica.node != shell.node {
        return None;
    }
    if group == GroupId::SYSTEM {
        // A founder has group 0 from the beginning.
        return (shell.config.joined && shell.views.get(group).is_none()).then_some(Event::Host {
            group,
            born: stranger.replica.born,
            configuration: Configuration::default(),
            create: None,
        });
    }
    // One that the directory does not know yet is told again; one that is gone stays gone.
    let state = shell.directory.state();
    let (_, fsm) = state.fsm_of(group).filter(|(_, fsm)| !fsm.retiring)?;
    if stranger.replica.born == 0 {
        // No entry of the log names the founders.
        return reconcile::is_founder(shell.node, fsm).then(|| reconcile::host(group, fsm));
    }
    Some(Event::Host {
        group,
        born: stranger.replica.born,
        configuration: Configuration::default(),
        create: Some(reconcile::spec(fsm)),
    })
}
