//! PEM as OpenSSL reads it, and in the strict form of RFC 7468, section 3. Checked in place: a decoder would leave a
//! second copy of a key behind.

use crate::format::base64::{is_base64, is_digit};

/// At least one block, and every block that begins can be read: as in `PEM_read_bio_ex` of OpenSSL 3
/// (`crypto/pem/pem_lib.c`), with any text around the blocks, any white space at the end of a line, and lines of any
/// length unless there are headers.
pub(super) fn is_pem(value: &str) -> bool {
    let mut lines = value.split('\n').map(|line| line.trim_end_matches(|c| c <= ' '));
    let mut is_any = false;
    while let Some(line) = lines.next() {
        let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        // OpenSSL reads a line in pieces of 254 bytes, and finds no boundary in one that is longer.
        let Some(label) = label.filter(|_| line.len() <= BOUNDARY_BYTES_MAX) else { continue };
        if !reads_block(label, &mut lines) {
            return false;
        }
        is_any = true;
    }
    is_any
}

/// Reads a block, from after its first line to its last.
fn reads_block<'v>(label: &str, lines: &mut impl Iterator<Item = &'v str>) -> bool {
    let (mut body, mut has_headers) = (Body::default(), false);
    for line in lines {
        if let Some(rest) = line.strip_prefix("-----END ") {
            return rest.strip_suffix("-----") == Some(label) && body.is_whole(has_headers);
        }
        // Everything before an empty line is headers (RFC 1421), and there is only one such line.
        match (line.is_empty(), has_headers) {
            (true, true) => return false,
            (true, false) => (body, has_headers) = (Body::default(), true),
            (false, _) => body.add(line),
        }
    }
    false
}

/// The base64 of a block: only its shape is kept.
#[derive(Default)]
struct Body {
    digits: usize,
    padding: usize,
    /// Whether something else is there.
    is_other: bool,
    /// Whether a line is longer than 64 characters, or follows one that is shorter.
    is_unwrapped: bool,
    was_short: bool,
}

impl Body {
    fn add(&mut self, line: &str) {
        self.is_unwrapped |= line.len() > LINE_DIGITS || self.was_short;
        self.was_short = line.len() < LINE_DIGITS;
        for byte in line.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) {
            match byte {
                b'=' => self.padding += 1,
                _ if is_digit(byte) && self.padding == 0 => self.digits += 1,
                _ => self.is_other = true,
            }
        }
    }

    /// Only the lines of a block with headers, which is encrypted, have to be wrapped.
    fn is_whole(&self, has_headers: bool) -> bool {
        let is_wrapped = !self.is_unwrapped || !has_headers;
        let is_padded = self.padding <= 2 && (self.digits + self.padding).is_multiple_of(4);
        is_wrapped && is_padded && self.digits > 0 && !self.is_other
    }
}

/// One or more blocks with lines of 64, no headers, and nothing before, between or after them.
pub(super) fn is_strict_pem(value: &str) -> bool {
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
const BOUNDARY_BYTES_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo";

    fn block(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn pem_is_what_openssl_reads() {
        let one = block("PUBLIC KEY", "Zm8=");
        let wide = block("OPENSSH PRIVATE KEY", &format!("{FULL}Zm9vYm\nFy"));
        let headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
        let encrypted = block("RSA PRIVATE KEY", &format!("{headers}{FULL}\nZm8="));
        for text in [
            one.clone(),
            wide,
            encrypted,
            format!("Bag Attributes\n    friendlyName: a\n{one}\n\n# next\n{one}tail"),
            one.replace('\n', "  \r\n"),
            one.trim_end().to_owned(),
            block("A", "\nZm8="),
            block("A", "Zm9v\n\nZm9v"), // OpenSSL takes the first for a header.
            block("A", "Zm\n9v"),
            block("A", " Zm 8=\t"),
        ] {
            assert!(is_pem(&text), "{text}");
        }
    }

    #[test]
    fn what_openssl_does_not_read_is_refused() {
        let one = block("A", "Zm8=");
        for text in [
            String::new(),
            "text".to_owned(),
            format!(" {one}"),
            one.replace("END A", "END B"),
            block("A", ""),
            "-----BEGIN A-----\n-----END A-----\n".to_owned(),
            "-----BEGIN A-----\nZm8=\n".to_owned(),
            format!("{one}-----BEGIN A-----\n"),
            block("A", "Zm8"),
            block("A", "Zm8=\nZm8="),
            block("A", "Zm8===="),
            block("A", "Zm8=\n"),
            block("A", "Zm9v\n\nZm9v\n\nZm9v"),
            block("A", "Zm-v"),
            block("A", "Zm\u{e9}v"),
            block("A", &format!("K: v\n{FULL}")),
            block("A", "Zm9v-\nZm9v"),
            block("A", &format!("K: v\n\n{FULL}Zm9v")),
            block("A", "K: v\n\nZm9v\nZm9v"),
        ] {
            assert!(!is_pem(&text), "{text}");
        }
    }

    #[test]
    fn one_block_or_more_with_either_line_end_are_valid() {
        let one = block("PUBLIC KEY", &format!("{FULL}\n{FULL}\nZm8="));
        assert!(
            is_strict_pem(&one) && is_strict_pem(one.trim_end()) && is_strict_pem(&one.replace('\n', "\r\n"))
        );
        assert!(is_strict_pem(&format!("{one}{}", block("X509 CRL", FULL))));
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
            assert!(!is_strict_pem(&text));
        }
    }

    #[test]
    fn a_line_ends_with_lf_or_crlf() {
        let one = block("PUBLIC KEY", "Zm8=");
        assert!(!is_strict_pem(&format!("{}\r", one.trim_end())) && !is_strict_pem(&one.replace('\n', "\r")));
        assert!(!is_strict_pem(&one.replace('\n', "\r\r\n")));
    }

    #[test]
    fn labels_agree_and_lines_are_full() {
        assert!(!is_strict_pem("-----BEGIN A-----\nZm8=\n-----END B-----\n"));
        assert!(!is_strict_pem("-----BEGIN A-----\n-----BEGIN A-----\n"));
        assert!(!is_strict_pem("-----BEGIN A-----\nZm8=\n") && !is_strict_pem("-----BEGIN A-----\n"));
        for body in ["Zm9v\nZm9v", "Zm8=\nZm9v", "Proc-Type: 4,ENCRYPTED", "Zm8", &format!("{FULL}Zm9v")] {
            assert!(!is_strict_pem(&block("A", body)));
        }
        assert!(!is_strict_pem(&block("A  B", "Zm8=")));
    }

    #[test]
    fn a_block_holds_something() {
        assert!(!is_strict_pem("-----BEGIN A-----\n-----END A-----\n"));
        assert!(!is_strict_pem(&format!("{}-----BEGIN A-----\n-----END A-----", block("A", "Zm8="))));
    }
}
