//! The guest's answer to a frame of commands.

use crate::task::Outcome;
use crate::{Limits, Reply};

/// The guest's answer is not what the contract says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedOutcomes {
    /// It ends too early.
    #[error("outcomes end at {len} bytes, in the middle of number {ordinal}")]
    Short {
        /// Its length.
        len: usize,
        /// The outcome that is cut off.
        ordinal: usize,
    },
    /// It goes on after its end.
    #[error("outcomes have {extra} bytes after their end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// Another number of outcomes than of commands.
    #[error("{outcomes} outcomes for {commands} commands")]
    Count {
        /// What the guest says.
        outcomes: u32,
        /// What it was given.
        commands: usize,
    },
    /// An outcome is neither ok nor refused.
    #[error("outcome {ordinal} has tag {tag}")]
    Tag {
        /// Which.
        ordinal: usize,
        /// Its tag.
        tag: u8,
    },
    /// An outcome, or all together, are larger than the fsm's limit.
    #[error("outcomes of {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Their size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

/// Decodes and checks the answer to a frame of `commands`.
pub fn decode_outcomes(
    frame: &[u8],
    commands: usize,
    limits: &Limits,
) -> Result<Vec<Outcome>, MalformedOutcomes> {
    let short = |ordinal| MalformedOutcomes::Short {
        len: frame.len(),
        ordinal,
    };
    let (count, mut rest) = split_u32(frame).ok_or_else(|| short(0))?;
    if count as usize != commands {
        return Err(MalformedOutcomes::Count {
            outcomes: count,
            commands,
        });
    }
    let mut outcomes = Vec::with_capacity(commands);
    let mut total = 0;
    for ordinal in 0..commands {
        let (&tag, after_tag) = rest.split_first().ok_or_else(|| short(ordinal))?;
        let (len, after_len) = split_u32(after_tag).ok_or_else(|| short(ordinal))?;
        let (bytes, after) = after_len
            .split_at_checked(len as usize)
            .ok_or_else(|| short(ordinal))?;
        within(u64::from(len), limits.reply_bytes)?;
        total += u64::from(len);
        within(total, limits.group_reply_bytes)?;
        outcomes.push(match tag {
            0 => Outcome::Ok(bytes.to_vec()),
            1 => Outcome::Refused(bytes.to_vec()),
            tag => return Err(MalformedOutcomes::Tag { ordinal, tag }),
        });
        rest = after;
    }
    match rest.len() {
        0 => Ok(outcomes),
        extra => Err(MalformedOutcomes::Trailing { extra }),
    }
}

/// Encodes the answers of a native machine as a guest would.
pub fn encode_outcomes(replies: &[Reply]) -> Vec<u8> {
    let mut frame = (replies.len() as u32).to_le_bytes().to_vec();
    for reply in replies {
        let (tag, bytes) = match reply {
            Reply::Ok(bytes) => (0, bytes),
            Reply::Refused(bytes) => (1, bytes),
        };
        frame.push(tag);
        frame.extend((bytes.len() as u32).to_le_bytes());
        frame.extend(bytes);
    }
    frame
}

fn within(bytes: u64, limit: u64) -> Result<(), MalformedOutcomes> {
    if bytes > limit {
        return Err(MalformedOutcomes::TooLarge { bytes, limit });
    }
    Ok(())
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            reply_bytes: 4,
            group_reply_bytes: 6,
            ..Limits::default()
        }
    }

    #[test]
    fn good_outcomes_decode() {
        let frame = encode_outcomes(&[Reply::Ok(b"abcd".to_vec()), Reply::Refused(b"x".to_vec())]);
        assert_eq!(frame, b"\x02\0\0\0\0\x04\0\0\0abcd\x01\x01\0\0\0x");
        assert_eq!(
            decode_outcomes(&frame, 2, &limits()),
            Ok(vec![
                Outcome::Ok(b"abcd".to_vec()),
                Outcome::Refused(b"x".to_vec())
            ])
        );
    }

    #[test]
    fn bad_outcomes_are_told_apart() {
        let good = encode_outcomes(&[Reply::Ok(b"abcd".to_vec())]);
        let long = [&good[..], b"x"].concat();
        let mut tag = good.clone();
        tag[4] = 2;
        let large = encode_outcomes(&[Reply::Ok(b"abcde".to_vec())]);
        let group = encode_outcomes(&[Reply::Ok(b"abcd".to_vec()), Reply::Ok(b"abc".to_vec())]);
        let check = |frame: &[u8], commands| decode_outcomes(frame, commands, &limits());

        use MalformedOutcomes::{Count, Short, Tag, TooLarge, Trailing};
        assert_eq!(check(&long, 1), Err(Trailing { extra: 1 }));
        assert_eq!(check(&tag, 1), Err(Tag { ordinal: 0, tag: 2 }));
        assert_eq!(check(&large, 1), Err(TooLarge { bytes: 5, limit: 4 }));
        assert_eq!(check(&group, 2), Err(TooLarge { bytes: 7, limit: 6 }));
        assert!(matches!(check(&good, 2), Err(Count { outcomes: 1, .. })));
        for cut in 0..good.len() {
            assert!(matches!(check(&good[..cut], 1), Err(Short { .. })), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            commands in 0u32..4,
        ) {
            let mut frame = commands.to_le_bytes().to_vec();
            frame.extend(noise);
            let _ = decode_outcomes(&frame, commands as usize, &limits());
        }
    }
}
