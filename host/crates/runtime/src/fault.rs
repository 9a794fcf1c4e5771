//! What a guest call may end in, and how an engine's error is classified.

use std::fmt;
use std::str::Utf8Error;

use wasmtime::{Trap, WasmBacktrace};

use crate::depth::TRIP_NAME;

/// Why a call to the guest failed, as it is replicated: a closed set, no engine text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// It trapped (panic, unreachable, out of bounds, ...).
    Trap,
    /// It ran out of fuel.
    Fuel,
    /// It asked for more memory or table space than its limit.
    Memory,
    /// It recursed too deep.
    Stack,
    /// Its reply is malformed, miscounted or too large.
    BadResult,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::BadResult => "bad-result",
        })
    }
}

/// What a guest call may end in besides success. After `Failed` and `Host` the instance is
/// poisoned.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// `init`, `restore` or `snapshot` returned an error of the guest's own: its bytes.
    #[error("refused by the guest: {}", String::from_utf8_lossy(.0))]
    Refused(Vec<u8>),
    /// The call failed, the same on every replica. `detail` is for the log of this node only.
    #[error("failed ({class}): {detail}")]
    Failed {
        /// The replicated class.
        class: FailureClass,
        /// What the engine said.
        detail: String,
    },
    /// This host failed; never replicated, this replica halts the fsm.
    #[error("host fault: {0}")]
    Host(String),
}

impl Fault {
    pub(crate) fn failed(class: FailureClass, detail: impl Into<String>) -> Self {
        Self::Failed {
            class,
            detail: detail.into(),
        }
    }
}

/// An error of this host on its way through the engine. Private, so that nothing a guest does can
/// look like one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostError(pub(crate) String);

/// A deterministic refusal of an import: the guest did what the contract forbids.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct GuestError {
    pub(crate) class: FailureClass,
    pub(crate) reason: String,
}

impl GuestError {
    pub(crate) fn trap(reason: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Trap,
            reason: reason.into(),
        }
    }
}

/// How the engine (pinned to one version) reports what a guest hands over and is not a value of
/// its type: these are plain texts there, not types, so they are recognised as texts. Anything
/// that is not in this list halts the replica.
const ABI_ERRORS: &[&str] = &[
    "pointer not aligned",
    "pointer size overflow",
    "pointer out of bounds",
    "realloc return: ",
    "return pointer not aligned",
    "too much data is being copied between the host and the guest",
    "list pointer",
    "string pointer",
    "byte length ",
    "size overflow copying a list",
    "invalid option discriminant",
    "invalid expected discriminant",
    "unknown handle index",
    "index is not a resource",
    "index ",
    "handle index ",
    "cannot remove owned resource while borrowed",
    "cannot lift own resource from a borrow",
    "cannot lend resource",
    "cannot allocate another handle",
    "borrow handles still remain at the end of the call",
    "host resource already consumed",
    "host-owned resource was already de-allocated",
    "invalid utf",
];

/// Likewise, for a memory or table whose initial size the limiter refused.
const INITIAL_SIZE_ERRORS: &[&str] = &["memory minimum size of", "table minimum size of"];

/// Classifies what the engine returned. `grow_refused`: the limiter said no during this call.
pub(crate) fn classify(error: &wasmtime::Error, grow_refused: bool) -> Fault {
    let detail = format!("{error:#}");
    if error.is::<HostError>() {
        return Fault::Host(detail);
    }
    let class = error
        .downcast_ref::<GuestError>()
        .map(|guest| guest.class)
        .or_else(|| {
            error
                .downcast_ref::<Trap>()
                .and_then(|trap| of_trap(*trap, error))
        })
        .or_else(|| of_text(error));
    match class {
        Some(FailureClass::Trap) if grow_refused => Fault::failed(FailureClass::Memory, detail),
        Some(class) => Fault::failed(class, detail),
        None => Fault::Host(format!("unclassified: {detail}")),
    }
}

fn of_trap(trap: Trap, error: &wasmtime::Error) -> Option<FailureClass> {
    match trap {
        Trap::OutOfFuel => Some(FailureClass::Fuel),
        Trap::UnreachableCodeReached if tripped(error) => Some(FailureClass::Stack),
        Trap::UnreachableCodeReached
        | Trap::MemoryOutOfBounds
        | Trap::HeapMisaligned
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::IntegerOverflow
        | Trap::IntegerDivisionByZero
        | Trap::BadConversionToInteger
        | Trap::NullReference
        | Trap::CannotLeaveComponent => Some(FailureClass::Trap),
        Trap::InvalidChar
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer => Some(FailureClass::BadResult),
        // The native stack's end depends on machine and compiler, so it is this host's fault; the
        // depth counter is there so that it is never reached. The rest cannot happen with our
        // knobs.
        _ => None,
    }
}

/// Whether the innermost frame is the function that the depth counter calls when it trips.
fn tripped(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().first())
        .is_some_and(|frame| frame.func_name() == Some(TRIP_NAME))
}

fn of_text(error: &wasmtime::Error) -> Option<FailureClass> {
    if error.is::<Trap>() {
        return None;
    }
    let cause = error.root_cause();
    let text = cause.to_string();
    if INITIAL_SIZE_ERRORS
        .iter()
        .any(|known| text.starts_with(known))
    {
        return Some(FailureClass::Memory);
    }
    let known = cause.is::<Utf8Error>() || ABI_ERRORS.iter().any(|known| text.starts_with(known));
    known.then_some(FailureClass::BadResult)
}
