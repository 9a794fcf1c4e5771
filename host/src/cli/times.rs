//! Moments and spans as people read them; `-o json` has seconds.

use std::time::{Duration, UNIX_EPOCH};

use humantime::{format_duration, format_rfc3339_seconds};

/// The last second that RFC 3339 can write: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// Seconds since 1970 in RFC 3339, UTC.
pub(super) fn moment(seconds: u64) -> String {
    if seconds > LAST {
        return format!("{seconds} s after 1970");
    }
    format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// Whole seconds of a span, as "1h 30m".
pub(super) fn span(time: Duration) -> String {
    format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_are_written_for_people() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_795_296_000), "2026-11-21T21:20:00Z");
        assert_eq!(moment(LAST), "9999-12-31T23:59:59Z");
        assert_eq!(moment(u64::MAX), "18446744073709551615 s after 1970");
        assert_eq!(span(Duration::from_millis(3_600_999)), "1h");
        assert_eq!(span(Duration::from_secs(5400)), "1h 30m");
    }
}
