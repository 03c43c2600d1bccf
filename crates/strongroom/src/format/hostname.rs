//! Host names as in RFC 1123, section 2.1, in the form without a final dot.

pub(super) fn is_hostname(value: &str) -> bool {
    is_name(value, b"-")
}

/// As above, with `_` also allowed where a letter is, as in names of Docker Compose and Windows.
pub(super) fn is_hostname_with_underscore(value: &str) -> bool {
    is_name(value, b"-_")
}

fn is_name(value: &str, others: &[u8]) -> bool {
    // Otherwise an IPv4 address would be a host name.
    let last = value.rsplit('.').next().unwrap_or_default();
    value.len() <= 253
        && value.split('.').all(|label| is_label(label, others))
        && !last.bytes().all(|b| b.is_ascii_digit())
}

fn is_label(label: &str, others: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_letters_digits_and_inner_hyphens() {
        for name in ["localhost", "3com.com", "a-b.c", "xn--bcher-kva.example", "EXAMPLE.com", "1.2.3.4a"] {
            assert!(is_hostname(name));
        }
        for name in ["", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a_b.c", "bücher.example", "a b", "1.2.3.4"]
        {
            assert!(!is_hostname(name));
        }
    }

    #[test]
    fn an_underscore_is_a_letter_where_that_was_chosen() {
        for name in ["my_db", "_sql._tcp.example", "a-b.c", "db_"] {
            assert!(is_hostname_with_underscore(name));
        }
        assert!(!is_hostname_with_underscore("-a_b") && !is_hostname_with_underscore("a b"));
    }

    #[test]
    fn a_label_has_at_most_63_bytes_and_a_name_253() {
        let label = "a".repeat(63);
        assert!(is_hostname(&label) && !is_hostname(&format!("{label}a")));
        let name = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert!(name.len() == 253 && is_hostname(&name) && !is_hostname(&format!("{name}b")));
    }
}
