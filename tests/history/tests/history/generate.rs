use coracle_history::{Action, History, Logged, Operation, ReadKind, Reply, Session};

use crate::build::GROUP;
use crate::random::Random;

/// What a generated history is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    pub(crate) keys: u64,
    /// Operations in a hundred that are never answered.
    pub(crate) unknown: u64,
}

/// A register that applies what is open at random, and what its clients saw of it.
pub(crate) fn generate(seed: u64, shape: Shape) -> History {
    let mut register = Register {
        random: Random(seed),
        shape,
        now: 0,
        index: 0,
        seen: 0,
        ordinal: 0,
        values: vec![None; shape.keys as usize],
        past: vec![(0, vec![None; shape.keys as usize])],
        log: Vec::new(),
        open: Vec::new(),
        operations: Vec::new(),
    };
    while (register.operations.len() as u64) < shape.operations || !register.open.is_empty() {
        register.step();
    }
    History {
        origin: format!("generated from {seed}"),
        operations: register.operations,
        log: Some(register.log),
    }
}

#[derive(Debug)]
struct Register {
    random: Random,
    shape: Shape,
    now: u64,
    index: u64,
    /// The last index that somebody knows to be complete.
    seen: u64,
    ordinal: u32,
    values: Vec<Option<String>>,
    /// From when on what was the state; by index.
    past: Vec<(u64, Vec<Option<String>>)>,
    log: Vec<Logged>,
    open: Vec<Open>,
    operations: Vec<Operation>,
}

/// What a client waits for.
#[derive(Debug)]
struct Open {
    operation: usize,
    key: usize,
    /// Its answer, once it has happened.
    reply: Option<Reply>,
    unknown: bool,
}

impl Register {
    fn step(&mut self) {
        self.now += self.random.below(3);
        let busy = self.open.len() as u64;
        let more = (self.operations.len() as u64) < self.shape.operations;
        match self.random.below(3) {
            0 if more && busy < self.shape.clients => self.ask(),
            1 if busy > 0 => self.happen(),
            2 if busy > 0 => self.answer(),
            _ => {}
        }
    }

    fn ask(&mut self) {
        let number = self.operations.len() as u64;
        let key = self.random.below(self.shape.keys) as usize;
        let action = self.action(number, key);
        let client = (0..).find(|client| {
            let waits = |open: &Open| self.operations[open.operation].client == *client;
            !self.open.iter().any(waits)
        });
        let client = client.unwrap_or(0);
        let session = (!action.is_query()).then_some(Session {
            client,
            sequence: number,
        });
        self.operations.push(Operation {
            id: number,
            client,
            group: GROUP.into(),
            key: key.to_string(),
            action,
            session,
            invoked: self.now,
            replies: Vec::new(),
            not_applied: false,
        });
        self.open.push(Open {
            operation: number as usize,
            key,
            reply: None,
            unknown: self.random.chance(self.shape.unknown),
        });
        // What is answered at the same time is not before it.
        self.now += 1;
    }

    fn action(&mut self, number: u64, key: usize) -> Action {
        let value = format!("v{number}");
        match self.random.below(10) {
            0 | 1 => Action::Put(value),
            2 => Action::Append(format!(";{number}")),
            3 => Action::Add(number as i64),
            4 | 5 => Action::Cas {
                old: self.values[key].clone().unwrap_or("v0".into()),
                new: value,
            },
            6 => Action::Delete,
            7 => Action::Get,
            8 => Action::Read(ReadKind::Linearizable),
            _ => Action::Read(ReadKind::Stale {
                max_staleness: self.random.chance(50).then_some(5),
                min_index: None,
            }),
        }
    }

    /// An open operation happens.
    fn happen(&mut self) {
        let chosen = self.random.below(self.open.len() as u64) as usize;
        if self.open[chosen].reply.is_some() {
            return;
        }
        let (key, number) = (self.open[chosen].key, self.open[chosen].operation);
        let operation = &self.operations[number];
        let (index, results) = match &operation.action {
            Action::Read(kind) => {
                let old = matches!(
                    kind,
                    ReadKind::Stale {
                        max_staleness: None,
                        ..
                    }
                );
                let back = if old {
                    self.random.below(4) as usize
                } else {
                    0
                };
                let (index, values) = &self.past[self.past.len().saturating_sub(1 + back)];
                (*index, operation.action.apply(values[key].as_deref()))
            }
            action => {
                let results = action.apply(self.values[key].as_deref());
                // Half of the commands share an entry with the one before, if nobody saw that.
                if self.index == 0 || self.seen == self.index || self.random.chance(50) {
                    self.index += 1;
                    self.ordinal = 0;
                }
                self.log.push(Logged {
                    group: GROUP.into(),
                    index: self.index,
                    ordinal: self.ordinal,
                    session: operation.session,
                    body: action.body(&operation.key),
                });
                self.ordinal += 1;
                (self.index, results)
            }
        };
        if operation.action.is_query() {
            self.seen = self.seen.max(index);
        } else {
            self.values[key].clone_from(&results.value);
            match self.past.last_mut() {
                Some((last, values)) if *last == index => values.clone_from(&self.values),
                _ => self.past.push((index, self.values.clone())),
            }
        }
        self.open[chosen].reply = Some(Reply {
            at: self.now,
            index,
            outcome: results.outcome,
        });
    }

    fn answer(&mut self) {
        let chosen = self.random.below(self.open.len() as u64) as usize;
        let open = &self.open[chosen];
        // A client gives up on some: they may have happened or not.
        if open.unknown {
            self.open.swap_remove(chosen);
        } else if let Some(reply) = open.reply.clone() {
            self.seen = self.seen.max(reply.index);
            let operation = &mut self.operations[open.operation];
            let reply = Reply {
                at: self.now,
                ..reply
            };
            operation.replies.push(reply.clone());
            if !operation.action.is_query() && self.random.chance(10) {
                operation.replies.push(reply);
            }
            self.open.swap_remove(chosen);
        }
        self.now += 1;
    }
}
