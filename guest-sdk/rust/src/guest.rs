//! The contract's exports, as functions of a machine. [`export!`](crate::export) uses them; only a
//! plugin that breaks the contract on purpose calls them itself.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufWriter, Read, Write},
};

use crate::{Environment, Error, StateMachine, state::CHUNK_BYTES};

use bindings::exports::coracle::fsm::machine::{Description, Sink, Source};

/// What `wit/coracle-fsm.wit` turns into.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unsafe_code,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export_machine",
    });
}

/// Where the component keeps its machine.
pub type Slot<M> = RefCell<Option<M>>;

/// `describe`.
pub fn describe<M: StateMachine>() -> Description {
    Description {
        name: M::NAME.into(),
        version: M::VERSION.into(),
    }
}

/// `init`.
pub fn init<M: StateMachine>(slot: &Slot<M>) -> Result<(), Vec<u8>> {
    begin(slot, M::init(&Environment::HOST))
}

/// `restore`.
pub fn restore<M: StateMachine>(slot: &Slot<M>, source: Source) -> Result<(), Vec<u8>> {
    let mut source = StateSource::new(source);
    let machine = M::restore(&Environment::HOST, &mut source)
        .and_then(|machine| crate::state::end(&mut source).map(|()| machine));
    begin(slot, machine)
}

fn begin<M>(slot: &Slot<M>, machine: Result<M, Error>) -> Result<(), Vec<u8>> {
    *slot.borrow_mut() = Some(machine.map_err(text)?);
    Ok(())
}

/// `apply`.
///
/// # Panics
/// The frame is malformed, or neither `init` nor `restore` was called.
pub fn apply<M: StateMachine>(slot: &Slot<M>, frame: &[u8]) -> Vec<u8> {
    let mut slot = slot.borrow_mut();
    let machine = slot.as_mut().expect(NOT_STARTED);
    match crate::apply_frame(machine, &Environment::HOST, frame) {
        Ok(outcomes) => outcomes,
        Err(bad) => panic!("{bad}"),
    }
}

/// `query`.
///
/// # Panics
/// Neither `init` nor `restore` was called.
pub fn query<M: StateMachine>(slot: &Slot<M>, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let slot = slot.borrow();
    crate::query(
        slot.as_ref().expect(NOT_STARTED),
        &Environment::HOST,
        request,
    )
}

/// `snapshot`.
///
/// # Panics
/// Neither `init` nor `restore` was called.
pub fn snapshot<M: StateMachine>(slot: &Slot<M>, sink: Sink) -> Result<(), Vec<u8>> {
    let slot = slot.borrow();
    let machine = slot.as_ref().expect(NOT_STARTED);
    let mut sink = BufWriter::with_capacity(CHUNK_BYTES, StateSink(sink));
    machine
        .snapshot(&Environment::HOST, &mut sink)
        .and_then(|()| Ok(sink.flush()?))
        .map_err(text)
}

const NOT_STARTED: &str = "init or restore comes first";

fn text(error: Error) -> Vec<u8> {
    error.to_string().into_bytes()
}

struct StateSink(Sink);

impl Write for StateSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES)];
        self.0.write(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct StateSource {
    source: Source,
    chunk: Vec<u8>,
    used: usize,
}

impl StateSource {
    fn new(source: Source) -> Self {
        Self {
            source,
            chunk: Vec::new(),
            used: 0,
        }
    }
}

impl BufRead for StateSource {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.chunk.len() {
            self.chunk = self.source.read(CHUNK_BYTES as u32);
            self.used = 0;
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for StateSource {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}
