//! JSON that cannot control a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::printable::controls_terminal;

/// One line, as text.
pub(crate) fn compact(value: &impl Serialize) -> io::Result<String> {
    // A buffer that grows would leave copies of secrets behind, so the first pass only counts.
    let mut counted = Counted(0);
    write_compact(&mut counted, value)?;
    let mut text = Vec::with_capacity(counted.0 + 1);
    write_compact(&mut text, value)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// The number of bytes written to it.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line.
pub(super) fn write_compact(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Escaping(CompactFormatter)))?)
}

/// Indented, for people.
pub(super) fn write_pretty(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Escaping(PrettyFormatter::new())))?)
}

/// JSON must escape only the first 32 control characters; this escapes the others too, which does not change the text
/// when it is read back.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = fragment;
        while let Some((at, c)) = plain.char_indices().find(|(_, c)| controls_terminal(*c)) {
            let (before, rest) = plain.split_at(at);
            out.write_all(before.as_bytes())?;
            // Two units beyond the first plane, as JSON requires.
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(plain.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_leaves_raw_is_escaped_and_reads_back() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{2028}é\u{1f511}\n";
        let (mut compact, mut pretty) = (Vec::new(), Vec::new());
        write_compact(&mut compact, &[text]).unwrap();
        write_pretty(&mut pretty, &[text]).unwrap();
        for bytes in [compact, pretty] {
            let json = String::from_utf8(bytes).unwrap();
            assert!(!json.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{2028}']), "{json}");
            assert!(json.contains(r"\u009b31m\u007f\u202e\u2028é") && json.contains('\u{1f511}'), "{json}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
        }
    }
}
