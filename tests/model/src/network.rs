//! Messages on their way.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use coracle_proto::{Envelope, ReplicaId};

/// One message on its way, with a name by which equal ones are known.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) name: u64,
    pub(crate) envelope: Arc<Envelope>,
}

/// A set: any message may arrive next, or never. Equal messages are one, and what nobody takes is
/// lost, so that loss and reordering need no actions of their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    flights: Vec<Flight>,
    /// Nothing reaches it or comes from it.
    cut: Option<ReplicaId>,
}

impl Network {
    /// Whatever this replica says or is told from now on is lost.
    pub(crate) fn cut(&mut self, id: ReplicaId) {
        self.cut = Some(id);
        self.retain(|envelope| envelope.from != id && envelope.to != id);
    }

    pub(crate) fn send(&mut self, envelope: Envelope) {
        if self
            .cut
            .is_some_and(|id| envelope.from == id || envelope.to == id)
        {
            return;
        }
        let name = fingerprint(&envelope);
        if let Err(at) = self
            .flights
            .binary_search_by_key(&name, |flight| flight.name)
        {
            let envelope = Arc::new(envelope);
            self.flights.insert(at, Flight { name, envelope });
        }
    }

    pub(crate) fn flights(&self) -> &[Flight] {
        &self.flights
    }

    pub(crate) fn find(&self, name: u64) -> Option<Arc<Envelope>> {
        let at = self
            .flights
            .binary_search_by_key(&name, |flight| flight.name);
        at.ok().map(|at| Arc::clone(&self.flights[at].envelope))
    }

    pub(crate) fn remove(&mut self, name: u64) {
        self.flights.retain(|flight| flight.name != name);
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Envelope) -> bool) {
        self.flights.retain(|flight| keep(&flight.envelope));
    }
}

impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for flight in &self.flights {
            flight.name.hash(state);
        }
        (self.flights.len(), self.cut).hash(state);
    }
}

/// The same for equal values, in every run.
pub(crate) fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = Folding(0);
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hasher for trusted values, several times as fast as the standard library's: each word is
/// folded into the state by a multiplication, whose upper half is kept too.
struct Folding(u64);

impl Folding {
    fn fold(&mut self, word: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0.rotate_left(23) ^ word ^ 0x5851_f42d_4c95_7f2d) * ODD;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.fold(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.fold(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.fold(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.fold(word as u64);
    }
}
