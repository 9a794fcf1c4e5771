//! The packed formats of commands and outcomes (DESIGN 7.1), as far as the sandbox must know them.

use crate::Limits;
use crate::fault::{FailureClass, Fault};

/// Bytes that an outcome adds to its reply: status and length.
pub(crate) const OUTCOME_HEADER: usize = 5;

/// The number of commands in a frame, which is checked to be well formed.
///
/// # Errors
/// [`Fault::Host`], for a frame is made by the host.
pub fn count_commands(frame: &[u8]) -> Result<u32, Fault> {
    let malformed = || Fault::Host(format!("malformed command frame of {} bytes", frame.len()));
    let (count, mut rest) = take_u32(frame).ok_or_else(malformed)?;
    for _ in 0..count {
        let (len, after) = take_u32(rest).ok_or_else(malformed)?;
        rest = after.get(len as usize..).ok_or_else(malformed)?;
    }
    if rest.is_empty() {
        Ok(count)
    } else {
        Err(malformed())
    }
}

/// Checks the answer to a group: exactly `expected` outcomes, each well formed and within the
/// limits.
///
/// # Errors
/// [`Fault::Failed`] with [`FailureClass::BadResult`].
pub fn check_outcomes(frame: &[u8], expected: u32, limits: &Limits) -> Result<(), Fault> {
    let bad = |detail: String| Fault::failed(FailureClass::BadResult, detail);
    let (count, mut rest) = take_u32(frame).ok_or_else(|| bad("outcomes without count".into()))?;
    if count != expected {
        return Err(bad(format!("{count} outcomes for {expected} commands")));
    }
    let mut total = 0u64;
    for ordinal in 0..count {
        let len = match rest {
            [0 | 1, tail @ ..] => take_u32(tail).map(|(len, _)| len),
            [status, ..] => return Err(bad(format!("outcome {ordinal} has status {status}"))),
            [] => None,
        };
        let len = len.ok_or_else(|| bad(format!("outcome {ordinal} is cut off")))?;
        total += u64::from(len);
        if u64::from(len) > limits.reply_bytes {
            return Err(bad(format!("outcome {ordinal} has a reply of {len} bytes")));
        }
        rest = rest
            .get(OUTCOME_HEADER + len as usize..)
            .ok_or_else(|| bad(format!("reply of outcome {ordinal} is cut off")))?;
    }
    if !rest.is_empty() {
        return Err(bad(format!("{} bytes after the last outcome", rest.len())));
    }
    if total > limits.group_reply_bytes {
        return Err(bad(format!("{total} bytes of replies to the group")));
    }
    Ok(())
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(replies: &[(u8, &[u8])]) -> Vec<u8> {
        let mut frame = (replies.len() as u32).to_le_bytes().to_vec();
        for (status, reply) in replies {
            frame.push(*status);
            frame.extend((reply.len() as u32).to_le_bytes());
            frame.extend(*reply);
        }
        frame
    }

    #[test]
    fn outcomes_are_checked_for_count_shape_and_size() {
        let limits = Limits {
            reply_bytes: 4,
            group_reply_bytes: 6,
            ..Limits::default()
        };
        let good = outcomes(&[(0, b"ok"), (1, b"no")]);
        let mut trailing = good.clone();
        trailing.push(0);
        let refused = |frame: &[u8], expected| {
            matches!(
                check_outcomes(frame, expected, &limits),
                Err(Fault::Failed {
                    class: FailureClass::BadResult,
                    ..
                })
            )
        };
        assert!(check_outcomes(&good, 2, &limits).is_ok());
        assert!(refused(&good, 3));
        assert!(refused(&good[..good.len() - 1], 2));
        assert!(refused(&trailing, 2));
        assert!(refused(&[], 0));
        assert!(refused(&outcomes(&[(2, b"")]), 1));
        assert!(refused(&outcomes(&[(0, b"12345")]), 1));
        assert!(refused(&outcomes(&[(0, b"1234"), (0, b"123")]), 2));
        assert!(refused(&[1, 0, 0, 0, 0, 255, 255, 255, 255], 1));
    }

    #[test]
    fn malformed_command_frame_is_the_hosts_fault() {
        assert_eq!(count_commands(&[1, 0, 0, 0, 2, 0, 0, 0, 7, 7]).unwrap(), 1);
        for frame in [
            &[][..],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0, 0, 0, 7],
            &[0, 0, 0, 0, 9],
        ] {
            assert!(
                matches!(count_commands(frame), Err(Fault::Host(_))),
                "{frame:?}"
            );
        }
    }
}
