use coracle_history::{Action, History, Logged, Operation, Outcome, ReadKind, Recorder, Session};

/// A history in the making. Every client has a recorder; keys are one letter, the group is `g`.
#[derive(Debug, Default)]
pub(crate) struct Build {
    clients: Vec<Recorder>,
    sessions: u64,
    log: Vec<Logged>,
    forget_log: bool,
}

pub(crate) const GROUP: &str = "g";

pub(crate) fn put(value: &str) -> Action {
    Action::Put(value.into())
}

pub(crate) fn append(value: &str) -> Action {
    Action::Append(value.into())
}

pub(crate) fn cas(old: &str, new: &str) -> Action {
    let (old, new) = (old.into(), new.into());
    Action::Cas { old, new }
}

pub(crate) fn read() -> Action {
    Action::Read(ReadKind::Linearizable)
}

pub(crate) fn lease() -> Action {
    Action::Read(ReadKind::Lease)
}

pub(crate) fn stale(max_staleness: Option<u64>, min_index: Option<u64>) -> Action {
    Action::Read(ReadKind::Stale {
        max_staleness,
        min_index,
    })
}

pub(crate) fn value(text: &str) -> Outcome {
    Outcome::Value(text.into())
}

impl Build {
    /// One whose log is not known.
    pub(crate) fn without_log() -> Self {
        Self {
            forget_log: true,
            ..Self::default()
        }
    }

    fn client(&mut self, client: u64) -> &mut Recorder {
        while self.clients.len() <= client as usize {
            let number = self.clients.len() as u64;
            self.clients.push(Recorder::new(number));
        }
        &mut self.clients[client as usize]
    }

    /// A client asks for something of the key `a`; a command is in the log if `index` says so.
    pub(crate) fn ask(&mut self, client: u64, at: u64, action: Action, index: Option<u64>) -> u64 {
        self.ask_of(client, at, "a", action, index)
    }

    pub(crate) fn ask_of(
        &mut self,
        client: u64,
        at: u64,
        key: &str,
        action: Action,
        index: Option<u64>,
    ) -> u64 {
        let session = (!action.is_query()).then(|| {
            self.sessions += 1;
            Session {
                client,
                sequence: self.sessions,
            }
        });
        if let Some(index) = index {
            self.log(index, session, &action.body(key));
        }
        let recorder = self.client(client);
        recorder.invoke(at, GROUP, key, action, session)
    }

    /// The next command of the entry at `index`.
    pub(crate) fn log(&mut self, index: u64, session: Option<Session>, body: &str) {
        let before = self.log.iter().filter(|logged| logged.index == index);
        self.log.push(Logged {
            group: GROUP.into(),
            index,
            ordinal: before.count() as u32,
            session,
            body: body.into(),
        });
    }

    /// The answer.
    pub(crate) fn answer(&mut self, client: u64, id: u64, at: u64, index: u64, outcome: Outcome) {
        self.client(client).answered(id, at, index, outcome);
    }

    /// A command on `a`, asked and answered.
    pub(crate) fn command(
        &mut self,
        client: u64,
        (from, to): (u64, u64),
        action: Action,
        index: u64,
        outcome: Outcome,
    ) -> u64 {
        let id = self.ask(client, from, action, Some(index));
        self.answer(client, id, to, index, outcome);
        id
    }

    /// A query of `a`, asked and answered.
    pub(crate) fn query(
        &mut self,
        client: u64,
        (from, to): (u64, u64),
        action: Action,
        index: u64,
        outcome: Outcome,
    ) -> u64 {
        let id = self.ask(client, from, action, None);
        self.answer(client, id, to, index, outcome);
        id
    }

    pub(crate) fn not_applied(&mut self, client: u64, id: u64) {
        self.client(client).not_applied(id);
    }

    pub(crate) fn history(self) -> History {
        let operations = self.clients.into_iter().flat_map(Recorder::into_operations);
        let operations: Vec<Operation> = operations.collect();
        History {
            origin: "a test".into(),
            operations,
            log: (!self.forget_log).then_some(self.log),
        }
    }
}
