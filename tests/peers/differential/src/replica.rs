//! What both implementations can do.

use std::collections::BTreeSet;

/// Messages to send, each with its addressee.
pub type Sends<M> = Vec<(u64, M)>;

/// Who votes and who learns, by node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Voters.
    pub voters: BTreeSet<u64>,
    /// Learners.
    pub learners: BTreeSet<u64>,
}

/// One replica with a disk that never fails and is never slow.
pub trait Replica: Sized {
    /// What one replica says to another.
    type Message;

    /// A replica of a group whose first voters are these. It may be none of them: then it waits
    /// to be added.
    fn start(id: u64, voters: &[u64]) -> Self;

    /// The process ends and begins anew with what is on the disk.
    fn restart(&mut self);

    /// Campaigns as if the election timer had run out.
    fn campaign(&mut self, sends: &mut Sends<Self::Message>);

    /// A leader's heartbeat timer runs out; nothing on others.
    fn heartbeat(&mut self, sends: &mut Sends<Self::Message>);

    /// Proposes an entry; nothing on a replica that does not lead.
    fn propose(&mut self, payload: u64, sends: &mut Sends<Self::Message>);

    /// Proposes these members, through a joint configuration if more than one voter changes;
    /// nothing on a replica that does not lead or has a change under way.
    fn change(&mut self, members: &Members, sends: &mut Sends<Self::Message>);

    /// Hands leadership over; nothing on a replica that does not lead.
    fn transfer(&mut self, to: u64, sends: &mut Sends<Self::Message>);

    /// A message arrives.
    fn receive(&mut self, from: u64, message: Self::Message, sends: &mut Sends<Self::Message>);

    /// Whether it leads.
    fn leads(&self) -> bool;

    /// Its term.
    fn term(&self) -> u64;

    /// Its members as of its log.
    fn members(&self) -> Members;

    /// The payloads of its log, as far as it knows them to be committed.
    fn committed(&self) -> Vec<u64>;
}
