//! A group of commands comes packed in one frame and goes out as a frame of outcomes.
//!
//! Frame: `u32 n`, then n times (`u32 len`, bytes). Outcomes: `u32 n`, then n times (`u8` 0 ok |
//! 1 refused, `u32 len`, bytes). Little-endian, unpadded.

use std::fmt;

use crate::{Decode, Encode, Environment, StateMachine};

const OK: u8 = 0;
const REFUSED: u8 = 1;

/// Bytes of an outcome before its reply.
const OUTCOME_HEADER: usize = 5;

/// Applies a frame of commands and answers their outcomes. A command is decoded in place, and its
/// reply is written straight into the answer.
///
/// # Errors
/// The frame is malformed, which only a broken host does; nothing is applied then.
pub fn apply_frame<M: StateMachine>(
    machine: &mut M,
    environment: &Environment,
    frame: &[u8],
) -> Result<Vec<u8>, BadFrame> {
    let commands = commands(frame)?;
    let count = commands.len();
    let mut outcomes = Vec::with_capacity(4 + count * (OUTCOME_HEADER + 8));
    outcomes.extend_from_slice(&frame[..4]);
    for command in commands {
        let start = outcomes.len();
        outcomes.extend_from_slice(&[OK, 0, 0, 0, 0]);
        let outcome = M::Format::decode(command)
            .map_or_else(|why| Err(why.into()), |c| machine.apply(environment, c));
        outcomes[start] = encode::<M::Format, _, _>(&outcome, &mut outcomes);
        let length = length(outcomes.len() - start - OUTCOME_HEADER);
        outcomes[start + 1..start + OUTCOME_HEADER].copy_from_slice(&length.to_le_bytes());
    }
    Ok(outcomes)
}

/// Answers one query; `Err` holds the bytes of a refusal.
pub fn query<M: StateMachine>(
    machine: &M,
    environment: &Environment,
    request: &[u8],
) -> Result<Vec<u8>, Vec<u8>> {
    let outcome = M::Format::decode(request)
        .map_or_else(|why| Err(why.into()), |q| machine.query(environment, q));
    let mut answer = Vec::new();
    match encode::<M::Format, _, _>(&outcome, &mut answer) {
        OK => Ok(answer),
        _ => Err(answer),
    }
}

fn encode<F, T, R>(outcome: &Result<T, R>, out: &mut Vec<u8>) -> u8
where
    F: Encode<T> + Encode<R>,
{
    match outcome {
        Ok(reply) => {
            <F as Encode<T>>::encode(reply, out);
            OK
        }
        Err(refusal) => {
            <F as Encode<R>>::encode(refusal, out);
            REFUSED
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a reply is shorter than 4 GiB")
}

/// The commands of a frame, in order. The whole frame is checked first.
///
/// # Errors
/// The frame is malformed.
pub fn commands(frame: &[u8]) -> Result<impl ExactSizeIterator<Item = &[u8]>, BadFrame> {
    let (count, mut rest) = split_u32(frame).ok_or(BadFrame::Short { at: 0 })?;
    let body = rest;
    for _ in 0..count {
        let at = frame.len() - rest.len();
        rest = split_command(rest).ok_or(BadFrame::Short { at })?.1;
    }
    if !rest.is_empty() {
        return Err(BadFrame::Long { extra: rest.len() });
    }
    let mut rest = body;
    Ok((0..count as usize).map(move |_| {
        let (command, after) = split_command(rest).expect("the frame was checked above");
        rest = after;
        command
    }))
}

fn split_command(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = split_u32(bytes)?;
    rest.split_at_checked(length as usize)
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*head), rest))
}

/// A frame that the contract does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// It ends inside the field at this offset.
    Short {
        /// Offset in bytes.
        at: usize,
    },
    /// Bytes follow its last command.
    Long {
        /// How many.
        extra: usize,
    },
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { at } => write!(f, "frame ends inside the field at byte {at}"),
            Self::Long { extra } => write!(f, "{extra} bytes after the last command of the frame"),
        }
    }
}

impl std::error::Error for BadFrame {}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(frame: &[u8]) -> Result<Vec<&[u8]>, BadFrame> {
        commands(frame).map(Iterator::collect)
    }

    #[test]
    fn frame_gives_its_commands_in_order() {
        let frame = b"\x02\0\0\0\x01\0\0\0a\x00\0\0\0";
        assert_eq!(listed(frame), Ok(vec![&b"a"[..], b""]));
        assert_eq!(listed(b"\0\0\0\0"), Ok(vec![]));
    }

    #[test]
    fn every_cut_of_a_frame_is_refused() {
        let frame = b"\x02\0\0\0\x01\0\0\0a\x02\0\0\0bc";
        for end in 0..frame.len() {
            assert!(
                matches!(listed(&frame[..end]), Err(BadFrame::Short { .. })),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn bytes_after_the_last_command_are_refused() {
        assert_eq!(
            listed(b"\x01\0\0\0\x01\0\0\0ab"),
            Err(BadFrame::Long { extra: 1 })
        );
    }

    #[test]
    fn count_beyond_the_bytes_is_refused_without_allocating() {
        assert_eq!(listed(b"\xff\xff\xff\xff"), Err(BadFrame::Short { at: 4 }));
        assert_eq!(
            listed(b"\x01\0\0\0\xff\xff\xff\xffa"),
            Err(BadFrame::Short { at: 4 })
        );
    }
}
