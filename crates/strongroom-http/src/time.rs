//! Times as the wire shows them: ISO 8601 with milliseconds, in UTC.

use std::time::{Duration, UNIX_EPOCH};

use strongroom::Timestamp;

/// `2026-01-31T12:00:00.000Z`. A moment after the year 9999 is shown as its last.
pub(crate) fn iso(moment: Timestamp) -> String {
    let since_epoch = Duration::from_millis(moment.as_ms().min(LAST_MS));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).to_string()
}

/// The last millisecond of the year 9999.
const LAST_MS: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_iso_8601_with_milliseconds() {
        assert_eq!(iso(Timestamp::from_ms(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(Timestamp::from_ms(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(iso(Timestamp::from_ms(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
