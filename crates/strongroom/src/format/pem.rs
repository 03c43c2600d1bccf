//! PEM as in RFC 7468, section 3, in its strict form: one block or more, lines of 64, nothing before, between or
//! after, no headers. Checked in place, where a decoder would leave a second copy of a key behind.

use crate::format::base64::is_base64;

pub(super) fn is_pem(value: &str) -> bool {
    let mut lines = value.split_inclusive('\n').map(without_eol).peekable();
    while let Some(line) = lines.next() {
        let Some(label) = boundary_label(line, "-----BEGIN ") else { return false };
        let mut is_empty = true;
        let end = loop {
            match (lines.next(), lines.peek()) {
                (Some(line), _) if line.starts_with('-') && !is_empty => break line,
                (Some(line), Some(next)) if is_base64_line(line, next.starts_with('-')) => is_empty = false,
                _ => return false,
            }
        };
        if boundary_label(end, "-----END ") != Some(label) {
            return false;
        }
    }
    !value.is_empty()
}

/// Every line but the last has 64 digits. Only the last may be shorter or padded.
fn is_base64_line(line: &str, last: bool) -> bool {
    let full = line.len() == LINE_DIGITS && (last || !line.ends_with('='));
    (full || last && line.len() < LINE_DIGITS) && is_base64(line)
}

/// Printable characters, with single spaces or hyphens between them. The empty label is valid.
fn boundary_label<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix("-----")?;
    let words =
        label.split([' ', '-']).all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()));
    (label.is_empty() || words).then_some(label)
}

fn without_eol(line: &str) -> &str {
    // A CR that no LF follows ends no line, not even the last.
    line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line)
}

const LINE_DIGITS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo";

    fn block(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn one_block_or_more_with_either_line_end_are_valid() {
        let one = block("PUBLIC KEY", &format!("{FULL}\n{FULL}\nZm8="));
        assert!(is_pem(&one) && is_pem(one.trim_end()) && is_pem(&one.replace('\n', "\r\n")));
        assert!(is_pem(&format!("{one}{}", block("X509 CRL", FULL))));
    }

    #[test]
    fn what_stands_around_a_block_is_refused() {
        let one = block("PUBLIC KEY", "Zm8=");
        for text in [
            format!("x\n{one}"),
            format!("{one}x"),
            format!("{one}\n{one}"),
            format!(" {one}"),
            String::new(),
        ] {
            assert!(!is_pem(&text));
        }
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf() {
        let one = block("PUBLIC KEY", "Zm8=");
        assert!(!is_pem(&format!("{}\r", one.trim_end())) && !is_pem(&one.replace('\n', "\r")));
        assert!(!is_pem(&one.replace('\n', "\r\r\n")));
    }

    #[test]
    fn labels_agree_and_lines_are_full() {
        assert!(!is_pem("-----BEGIN A-----\nZm8=\n-----END B-----\n"));
        assert!(!is_pem("-----BEGIN A-----\n-----BEGIN A-----\n"));
        assert!(!is_pem("-----BEGIN A-----\nZm8=\n") && !is_pem("-----BEGIN A-----\n"));
        for body in ["Zm9v\nZm9v", "Zm8=\nZm9v", "Proc-Type: 4,ENCRYPTED", "Zm8", &format!("{FULL}Zm9v")] {
            assert!(!is_pem(&block("A", body)));
        }
        assert!(!is_pem(&block("A  B", "Zm8=")));
    }

    #[test]
    fn a_block_holds_something() {
        assert!(!is_pem("-----BEGIN A-----\n-----END A-----\n"));
        assert!(!is_pem(&format!("{}-----BEGIN A-----\n-----END A-----", block("A", "Zm8="))));
    }
}
