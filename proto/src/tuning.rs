//! Settings that change while a replica runs.

use crate::{Config, Raft};

impl Raft {
    /// Takes other settings from now on. Who it is, and of which group, stays. A deadline that is
    /// set already stands.
    pub fn tune(&mut self, config: Config) {
        let Config { group, id, .. } = self.core.config;
        self.core.config = Config {
            group,
            id,
            ..config
        };
    }
}
