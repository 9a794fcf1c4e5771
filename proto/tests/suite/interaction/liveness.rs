//! After a script: with time and a working network, the members agree.

use coracle_proto::quorum::{VoteResult, vote_result};
use coracle_proto::{Configuration, Input, ProgressState, ReplicaId};

use super::node::Node;
use super::world::World;

/// Ticks of every node within which there has to be agreement.
const MAX_TICKS: usize = 100;

/// Lets time pass until one leader has committed its whole log at everybody it can reach. A script
/// may end with a configuration most of whose members were never started; then nothing is asked.
pub(crate) fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..MAX_TICKS {
        let all = world.all();
        world.stabilize(&all)?;
        give_up_snapshots(world)?;
        world.stabilize(&all)?;
        let newest = newest(world);
        if agree(world) || !can_work(world, &newest) {
            return Ok(());
        }
        for number in all {
            let state = world.node(number)?;
            if newest.is_voter(state.id()) {
                state.tick();
                world.stabilize(&world.all())?;
            }
        }
    }
    Err(format!("no agreement {MAX_TICKS} ticks after the script"))
}

/// The configuration of whoever has committed the most.
fn newest(world: &World) -> Configuration {
    let nodes = world.nodes.values();
    let newest = nodes.max_by_key(|node| (node.raft.status().commit, node.term()));
    newest.map_or_else(Configuration::default, |node| {
        node.raft.status().configuration
    })
}

fn can_work(world: &World, configuration: &Configuration) -> bool {
    let runs = |id: &ReplicaId| Some(node_of(world, *id).is_some());
    vote_result(configuration, runs) == VoteResult::Won
}

fn node_of(world: &World, id: ReplicaId) -> Option<&Node> {
    let node = world.nodes.get(&id.node.0)?;
    // A replica that has not been spoken to yet is born with the first message.
    (node.id() == id || node.id().born < id.born).then_some(node)
}

fn agree(world: &World) -> bool {
    let leaders = world.nodes.values().filter(|node| node.leads());
    let Some(leader) = leaders.max_by_key(|node| node.term()) else {
        return false;
    };
    let status = leader.raft.status();
    let members = status.configuration.members();
    let same = |id: &ReplicaId| {
        node_of(world, *id).is_none_or(|node| {
            let own = node.raft.status();
            own.id == *id && own.last == status.last && own.commit == status.last.index
        })
    };
    members.iter().all(same)
}

/// A driver says how a transfer ended; a script's harness does not.
fn give_up_snapshots(world: &mut World) -> Result<(), String> {
    for number in world.all() {
        let peers = world.node(number)?.raft.status().peers;
        let waiting = peers
            .into_iter()
            .filter(|peer| peer.state == ProgressState::Snapshot);
        for to in waiting.map(|peer| peer.id) {
            let delivered = false;
            world.step(number, Input::SnapshotSent { to, delivered })?;
        }
    }
    Ok(())
}
