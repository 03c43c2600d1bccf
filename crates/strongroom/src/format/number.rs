//! The numbers of RFC 8259, section 6, as a whole text.

/// `[ minus ] int [ frac ] [ exp ]`
pub(super) fn is_number(value: &str) -> bool {
    let Some(rest) = strip_int(value) else { return false };
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => strip_digits(fraction),
        None => Some(rest),
    };
    match rest.map(|rest| rest.strip_prefix(['e', 'E']).ok_or(rest)) {
        Some(Ok(exponent)) => strip_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) == Some(""),
        Some(Err(rest)) => rest.is_empty(),
        None => false,
    }
}

/// `[ minus ] int`
pub(super) fn is_integer(value: &str) -> bool {
    strip_int(value) == Some("")
}

/// The rest after `[ minus ] int`, in which no digit follows a leading zero.
fn strip_int(value: &str) -> Option<&str> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    match digits.strip_prefix('0') {
        Some(rest) => Some(rest),
        None => strip_digits(digits),
    }
}

/// The rest after one or more digits.
fn strip_digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_the_numbers_without_fraction_and_exponent() {
        for text in ["0", "-0", "7", "-15", "90071992547409931234567890"] {
            assert!(is_integer(text) && is_number(text));
        }
        for text in ["1.0", "1e5", "0.0", "-0E0"] {
            assert!(!is_integer(text) && is_number(text));
        }
    }

    #[test]
    fn what_the_grammar_leaves_out_is_refused() {
        for text in ["", "-", "00", "01", "-01", "+1", ".5", "1.", "1e", "1e+", "1.e1", "1_0", "0x1", "1 "] {
            assert!(!is_integer(text) && !is_number(text));
        }
    }
}
