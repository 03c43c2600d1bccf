//! Text that cannot control the terminal on which it is shown.

/// The text with escapes for characters that would control a terminal, including line ends.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, controls_terminal)
}

/// The same, but keeps its line ends.
pub(super) fn printable_lines(text: &str) -> String {
    escaped(text, |c| c != '\n' && controls_terminal(c))
}

/// Control characters, and characters that make a text look like another one: those that change its direction, and
/// invisible ones.
pub(super) fn controls_terminal(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    // Enough room for every escape, so that the buffer never moves and leaves no copy of a secret behind.
    let escapes = text.chars().filter(|c| is_escaped(*c)).count();
    let mut shown = String::with_capacity(text.len() + escapes * r"\u{10ffff}".len());
    for c in text.chars() {
        if is_escaped(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_control_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\u{202e}d\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}");
        assert_eq!(printable("a\u{2066}b\u{2069}"), "a\\u{2066}b\\u{2069}");
        assert_eq!(printable_lines("a\r\nb\x07"), "a\\r\nb\\u{7}");
        assert_eq!(printable("A\u{200b}B\u{feff}"), "A\\u{200b}B\\u{feff}", "it reads as another name");
    }
}
