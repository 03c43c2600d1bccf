//! Times as the wire shows them: ISO 8601 with milliseconds, in UTC.

use std::time::{Duration, UNIX_EPOCH};

use strongroom::Timestamp;

/// `2026-01-31T12:00:00.000Z`. A moment after the year 9999 is shown as its last.
pub(crate) fn iso(moment: Timestamp) -> String {
    let since_epoch = Duration::from_millis(moment.as_ms().min(LAST_MS));
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).to_string()
}

/// The moment written as in RFC 3339: `2026-01-31T12:00:00Z`, with or without a fraction, in UTC or with an offset
/// (`+02:00`). Without either it is in UTC. `None` for anything else, and for a moment before 1970.
///
/// ```
/// use strongroom_http::control::moment;
/// assert_eq!(moment("2026-01-31T12:00:00.5+02:00"), moment("2026-01-31T10:00:00.500Z"));
/// assert!(moment("2026-01-31T12:00:00+99:00").is_none());
/// ```
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    let (local, offset_ms) = split_offset(text)?;
    if !local.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b' ')) {
        return None;
    }
    let since = humantime::parse_rfc3339_weak(local).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let ms = i64::try_from(since.as_millis()).ok()?.checked_sub(offset_ms)?;
    u64::try_from(ms).ok().map(Timestamp::from_ms)
}

/// A time without its offset, and the offset in milliseconds. (`humantime` ignores the rest.)
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(local) = text.strip_suffix('Z') {
        return Some((local, 0));
    }
    // The hyphens of the date are not offsets.
    let clock = text.get(DATE_LEN..)?;
    let Some(place) = clock.rfind(['+', '-']) else { return Some((text, 0)) };
    let (local, offset) = text.split_at_checked(DATE_LEN + place)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |digits: &str, max: i64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| is_number && *number <= max)
    };
    let ms: i64 = (number(hours, 23)? * 60 + number(minutes, 59)?) * 60_000;
    Some((local, if offset.starts_with('-') { -ms } else { ms }))
}

/// The length of `2026-01-31`.
const DATE_LEN: usize = 10;
/// The last millisecond of the year 9999.
const LAST_MS: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_offset_or_not_at_all() {
        let noon = Some(Timestamp::from_ms(1_769_860_800_000));
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00",
            "2026-01-31T12:00:00.000Z",
            "2026-01-31T14:00:00.000+02:00",
            "2026-01-31T14:00:00+02:00",
            "2026-01-31T06:30:00-05:30",
            "2026-01-31T12:00:00.000-00:00",
        ] {
            assert_eq!(moment(text), noon, "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00.000+99:00",
            "2026-01-31T12:00:00+02",
            "2026-01-31T12:00:00+0200",
            "2026-01-31T12:00:00+2:00",
            "2026-01-31T12:00:00 +02:00 ",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-01-31T12:00:00ZZ",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_iso_8601_with_milliseconds() {
        assert_eq!(iso(Timestamp::from_ms(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(Timestamp::from_ms(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(iso(Timestamp::from_ms(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
