//! Moments as in RFC 3339, section 5.6: date, `T`, time, and `Z` or an offset. Checked in place.

pub(super) fn is_date_time(value: &str) -> bool {
    let Some((date, rest)) = value.split_at_checked(10) else { return false };
    let Some((time, rest)) = rest.strip_prefix(['T', 't']).and_then(|rest| rest.split_at_checked(8)) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    is_date(date) && is_time(time) && is_offset(offset)
}

fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, '-', [4, 2, 2]) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// A leap second is the last of a minute; which minutes have one is not known years ahead.
fn is_time(text: &str) -> bool {
    numbers(text, ':', [2, 2, 2])
        .is_some_and(|[hour, minute, second]| hour < 24 && minute < 60 && second <= 60)
}

fn is_offset(text: &str) -> bool {
    let hours = text.strip_prefix(['+', '-']).and_then(|text| numbers(text, ':', [2, 2]));
    matches!(text, "Z" | "z") || hours.is_some_and(|[hour, minute]| hour < 24 && minute < 60)
}

/// One number for each length, each with exactly that many digits.
fn numbers<const N: usize>(text: &str, between: char, lengths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (found, length) in found.iter_mut().zip(lengths) {
        let part =
            parts.next().filter(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))?;
        *found = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_date_a_time_and_an_offset() {
        for text in [
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "2000-02-29t00:00:00z",
            "0000-01-01T00:00:00.123456789012+23:59",
        ] {
            assert!(is_date_time(text));
        }
        for text in [
            "",
            "1985-04-12",
            "1985-04-12T23:20:50",
            "1985-04-12 23:20:50Z",
            "1900-02-29T00:00:00Z",
            "1985-13-01T00:00:00Z",
            "1985-04-31T00:00:00Z",
            "1985-04-00T00:00:00Z",
            "1985-04-12T24:00:00Z",
            "1985-04-12T23:60:00Z",
            "1985-04-12T23:20:61Z",
            "1985-04-12T23:20:50.Z",
            "1985-04-12T23:20:50+24:00",
            "1985-04-12T23:20:50+00:60",
            "1985-04-12T23:20:50+0100",
            "+985-04-12T23:20:50Z",
            "1985-04-12T23:20:50Zx",
            "éééééééééé",
        ] {
            assert!(!is_date_time(text), "{}", text.len());
        }
    }
}
