//! Durations, in the two forms that programs read: `P1DT2H30M` as in ISO 8601 (RFC 3339, appendix A), and numbers with
//! their units, the largest unit first, such as `1h30m`, `1.5s` or `250ms`.

pub(super) fn is_duration(value: &str) -> bool {
    match value.strip_prefix('P') {
        Some(rest) => is_iso(rest),
        None => is_sequence(value, &UNITS, true),
    }
}

/// Weeks appear alone; otherwise days and larger units come before the `T`, hours and smaller ones after it.
fn is_iso(text: &str) -> bool {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    match time {
        _ if is_sequence(text, &["W"], false) => true,
        None => is_sequence(date, &["Y", "M", "D"], false),
        Some(time) => {
            (date.is_empty() || is_sequence(date, &["Y", "M", "D"], false))
                && is_sequence(time, &["H", "M", "S"], false)
        }
    }
}

/// One number or more, each with a unit that is further to the right in `units` than the one before.
fn is_sequence(text: &str, units: &[&str], fractions: bool) -> bool {
    let (mut rest, mut units) = (text, units.iter());
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if !is_number(digits, fractions) || !units.any(|known| *known == unit) {
            return false;
        }
        rest = next;
    }
    !text.is_empty()
}

fn is_number(digits: &str, fractions: bool) -> bool {
    let is_whole = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match digits.split_once('.') {
        Some((whole, fraction)) => fractions && is_whole(whole) && is_whole(fraction),
        None => is_whole(digits),
    }
}

const UNITS: [&str; 8] = ["w", "d", "h", "m", "s", "ms", "us", "ns"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_one_of_two_forms() {
        for text in
            ["30s", "1h30m", "1.5h", "250ms", "2w3d", "0s", "P1D", "PT30S", "P1Y2M3DT4H5M6S", "P3W", "PT1H"]
        {
            assert!(is_duration(text));
        }
        for text in [
            "", "30", "s", "1m1h", "1h1h", "1 h", "-1s", "1.s", ".5s", "1x", "P", "PT", "P1H", "P1DT",
            "PT1.5S", "P1W1D", "1H",
        ] {
            assert!(!is_duration(text), "{}", text.len());
        }
    }
}
