//! What cannot be unless a replica lost acknowledged data or runs other code.

/// A claim that contradicts what is committed or durable; becomes
/// [`Effect::Fatal`](crate::Effect::Fatal). Messages that merely make no sense are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Impossible(pub(crate) String);

macro_rules! impossible {
    ($($arg:tt)*) => {
        Err($crate::impossible::Impossible(format!($($arg)*)))
    };
}

pub(crate) use impossible;
