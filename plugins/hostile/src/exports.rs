//! The contract, broken: answers that the SDK would never give.

use coracle_guest::{
    commands,
    guest::{
        self, Slot,
        bindings::exports::coracle::fsm::machine::{Description, Guest, Sink, Source},
    },
};

use crate::Hostile;

thread_local! {
    static MACHINE: Slot<Hostile> = const { Slot::new(None) };
}

struct Component;

impl Guest for Component {
    fn describe() -> Description {
        guest::describe::<Hostile>()
    }

    fn init() -> Result<(), Vec<u8>> {
        MACHINE.with(guest::init)
    }

    fn apply(frame: Vec<u8>) -> Vec<u8> {
        let has = |name: &[u8]| commands(&frame).is_ok_and(|mut all| all.any(|c| c == name));
        if has(b"giant") {
            return giant();
        }
        if has(b"miscount") {
            return 0u32.to_le_bytes().to_vec();
        }
        MACHINE.with(|machine| guest::apply(machine, &frame))
    }

    fn query(request: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        MACHINE.with(|machine| guest::query(machine, &request))
    }

    fn snapshot(sink: Sink) -> Result<(), Vec<u8>> {
        MACHINE.with(|machine| guest::snapshot(machine, sink))
    }

    fn restore(source: Source) -> Result<(), Vec<u8>> {
        MACHINE.with(|machine| guest::restore(machine, source))
    }
}

coracle_guest::export_component!(Component);

/// An answer of which only the length is there: the host must notice before it reads.
#[expect(unsafe_code, reason = "a guest may do whatever the sandbox lets it")]
fn giant() -> Vec<u8> {
    const LENGTH: usize = isize::MAX as usize;
    // SAFETY: none; it is a lie that ends in a trap. Length and capacity are equal, so that the
    // glue passes it on without touching the bytes.
    unsafe { Vec::from_raw_parts(std::ptr::dangling_mut(), LENGTH, LENGTH) }
}
