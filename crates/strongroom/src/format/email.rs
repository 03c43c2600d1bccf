//! Mailboxes as in RFC 5321, section 4.1.2, in the subset that mail systems agree on: a dot-atom, `@`, a host name.

use crate::format::hostname::is_hostname;

pub(super) fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.rsplit_once('@') else { return false };
    value.len() <= MAILBOX_BYTES_MAX
        && local.len() <= LOCAL_BYTES_MAX
        && local.split('.').all(is_atom)
        && is_hostname(domain)
}

/// RFC 5322, section 3.2.3.
fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

/// A path has at most 256 bytes, two of which are its angle brackets (RFC 5321, section 4.5.3.1.3).
const MAILBOX_BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_a_dot_atom_and_a_host_name() {
        for text in ["a@b", "first.last+tag@mail.example", "o'hara@example.ie", "{x}@h.example"] {
            assert!(is_email(text));
        }
        for text in [
            "", "a", "@b", "a@", "a@b@c", ".a@b", "a.@b", "a..b@c", "a b@c", "\"a\"@b", "a@[::1]", "é@b",
            "a@é",
        ] {
            assert!(!is_email(text));
        }
    }

    #[test]
    fn a_local_part_has_at_most_64_bytes() {
        let local = "a".repeat(64);
        assert!(is_email(&format!("{local}@b")) && !is_email(&format!("{local}a@b")));
    }
}
