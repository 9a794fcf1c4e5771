//! Votes, leaders, transfers of leadership.

use coracle_proto::{
    Change, Config, Configuration, LogId, Message, NodeId, ReadMode, TimeoutKind, Transition,
    VoteKind,
};

use super::Outcome;
use crate::cluster::{Cluster, ELECTION, replica};

fn ask(kind: VoteKind) -> Message {
    let last = LogId::default();
    Message::Vote { kind, last }
}

fn heard() -> Message {
    Message::HeartbeatReply {
        round: 0,
        hold: std::time::Duration::ZERO,
        priority: coracle_proto::DEFAULT_PRIORITY,
    }
}

/// Three voters that ask for pre-votes first.
fn with_pre_vote() -> Cluster {
    let configuration = Configuration::initial([1, 2, 3].map(NodeId));
    Cluster::with(configuration, |config: &mut Config| config.pre_vote = true)
}

/// Two candidates of one term ask the same replica.
pub(super) fn vote_twice() -> Outcome {
    let mut cluster = Cluster::of(3);
    for candidate in [2, 3] {
        let ask = ask(VoteKind::Real);
        cluster.tell(replica(candidate), replica(1), 5, ask);
        cluster.settle();
    }
    cluster.verdict()
}

/// A vote in a term that is on the disk already.
pub(super) fn vote_not_written() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.tell(replica(2), replica(1), 5, heard());
    cluster.settle();
    cluster.tell(replica(2), replica(1), 5, ask(VoteKind::Real));
    cluster.settle();
    cluster.verdict()
}

/// A vote while the disk hangs.
pub(super) fn vote_before_sync() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.hang(1, true);
    cluster.tell(replica(2), replica(1), 5, ask(VoteKind::Real));
    cluster.settle();
    cluster.verdict()
}

/// Node 3 lacks an entry that is committed, and campaigns.
pub(super) fn lower_log(pre_vote: bool) -> Outcome {
    let mut cluster = match pre_vote {
        true => with_pre_vote(),
        false => Cluster::of(3),
    };
    cluster.elect(1);
    cluster.cut(1, 3);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.isolate(1);
    cluster.elect(3);
    cluster.verdict()
}

/// A candidate asks for a term that the voter has left behind.
pub(super) fn pre_vote_of_old_term() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.tell(replica(2), replica(1), 5, heard());
    cluster.settle();
    cluster.tell(replica(2), replica(1), 3, ask(VoteKind::Pre));
    cluster.settle();
    cluster.verdict()
}

/// A leader has a lease, another replica is impatient, and writes; the leader reads.
pub(super) fn promise_broken() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.read(1, ReadMode::Lease);
    cluster.settle();
    cluster.isolate(1);
    cluster.campaign(3);
    cluster.settle();
    cluster.propose(3, "unseen by 1");
    cluster.settle();
    cluster.read(1, ReadMode::Lease);
    cluster.verdict()
}

/// A leader hears nobody for three election timeouts.
pub(super) fn check_quorum_never() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.isolate(1);
    for _ in 0..3 {
        cluster.pass(ELECTION);
        cluster.fire_due(1);
    }
    let leads = cluster.leads(1);
    cluster.expect(!leads, "check quorum: n1 hears nobody and leads on");
    cluster.verdict()
}

/// A leader of term 1 told node 2 to campaign; the word arrives in term 2, after a restart.
pub(super) fn timeout_now_of_old_term() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.elect(3);
    cluster.crash(2);
    let term = cluster.status(2).hard_state.term;
    cluster.tell(replica(1), replica(2), term - 1, Message::TimeoutNow);
    let same = cluster.status(2).hard_state.term == term;
    cluster.expect(same, "transfer: n2 campaigns for a leader of an older term");
    cluster.verdict()
}

/// A leader hears of a term in which nobody has elected it.
pub(super) fn leads_on_in_next_term() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.tell(replica(3), replica(1), 9, heard());
    cluster.settle();
    let leads = cluster.leads(1);
    cluster.expect(!leads, "elections: n1 leads a term that nobody gave to it");
    cluster.verdict()
}

/// A leader speaks to a replica whose term is higher.
pub(super) fn lower_term_unanswered() -> Outcome {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.tell(replica(2), replica(3), 9, heard());
    cluster.settle();
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    let knows = cluster.status(1).hard_state.term >= 9;
    cluster.expect(knows, "terms: n1 never hears of the term of n3");
    cluster.verdict()
}

/// Without node 1 the longer log is with node 2, the higher term with node 3.
pub(super) fn refusal_term_ignored() -> Outcome {
    let mut cluster = with_pre_vote();
    cluster.elect(1);
    cluster.cut(1, 3);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.isolate(1);
    cluster.tell(replica(2), replica(3), 9, heard());
    for _ in 0..3 {
        cluster.elect(3);
        cluster.elect(2);
    }
    let leads = cluster.leads(2);
    cluster.expect(leads, "elections: n2 and n3 hold each other up");
    cluster.verdict()
}

/// A learner was promoted and has not heard of it; now its vote is needed.
pub(super) fn learner_gives_no_vote() -> Outcome {
    let mut configuration = Configuration::initial([1, 2].map(NodeId));
    configuration.learners = [replica(3)].into();
    let mut cluster = Cluster::with(configuration, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    cluster.change(1, &[Change::Voter(NodeId(3))], Transition::Auto);
    cluster.settle();
    cluster.heal();
    cluster.isolate(1);
    cluster.elect(2);
    let leads = cluster.leads(2);
    cluster.expect(leads, "elections: n3 is a voter and gives no vote");
    cluster.verdict()
}

/// A leader that everybody hears hands over.
pub(super) fn transfer_asks_first() -> Outcome {
    let mut cluster = with_pre_vote();
    cluster.elect(1);
    cluster.timeout(1, TimeoutKind::Heartbeat);
    cluster.settle();
    cluster.transfer(1, 2);
    cluster.settle();
    let leads = cluster.leads(2);
    cluster.expect(leads, "transfer: n2 was told to lead and does not");
    cluster.verdict()
}
