//! Durations as people write them: in headers, on the command line.

use std::time::Duration;

/// Not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: want a whole number and a unit, like 500ms, 5s or 2m")]
pub struct InvalidDuration {
    text: String,
}

/// Reads `500ms`, `5s`, `2m`.
///
/// # Errors
///
/// If it is anything else, or too long to count in milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(InvalidDuration { text: text.into() }),
    };
    let millis = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(scale));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| InvalidDuration { text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "5h",
            "1.5s",
            "5 s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
        assert!(parse_duration(&format!("{}m", u64::MAX)).is_err());
    }
}
