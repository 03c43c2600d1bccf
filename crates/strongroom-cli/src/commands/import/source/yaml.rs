//! YAML 1.2 as JSON, so that its documents are read by the same rules. Anything that is not a number, boolean or null
//! of JSON is text: `yes` and `0o17` stay as they are written, and so does `1.50`.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Why a text is refused, and its line. It contains no text of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

pub(super) fn to_json(text: &str) -> Result<Zeroizing<String>, Refusal> {
    // Room for every character escaped, so that the buffer never moves and leaves no copy of a secret behind.
    let json = Zeroizing::new(String::with_capacity(text.len().saturating_mul(ESCAPE_BYTES)));
    let mut writer = Writer { json, open: Vec::new(), documents: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| Refusal { line: error.marker().line(), what: "it is not YAML" })?;
        writer.take(event).map_err(|what| Refusal { line: span.start.line(), what })?;
    }
    if writer.documents == 0 {
        writer.json.push_str("{}");
    }
    Ok(writer.json)
}

struct Writer {
    json: Zeroizing<String>,
    open: Vec<Open>,
    documents: usize,
}

/// A list or mapping that is not closed.
struct Open {
    /// The names of a mapping so far.
    names: Option<HashSet<String>>,
    is_empty: bool,
    /// Whether a name was read and its value was not.
    named: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.documents > 0 => {
                Err("it has several documents: import them one by one")
            }
            Event::DocumentStart(_) => {
                self.documents += 1;
                Ok(())
            }
            Event::Alias(_) => Err("an alias (*name) is not read: write out its content"),
            Event::Scalar(text, style, _, tag) => {
                untagged(tag.as_deref())?;
                self.scalar(&text, style)
            }
            Event::SequenceStart(_, tag) => {
                untagged(tag.as_deref())?;
                self.start('[', None)
            }
            Event::MappingStart(_, tag) => {
                untagged(tag.as_deref())?;
                self.start('{', Some(HashSet::new()))
            }
            Event::SequenceEnd => self.end(']'),
            Event::MappingEnd => self.end('}'),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle) -> Result<(), &'static str> {
        let is_plain = style == ScalarStyle::Plain;
        if let Some(Open { names: Some(names), is_empty, named }) = self.open.last_mut()
            && !*named
        {
            if is_plain && text == "<<" {
                return Err("a merge (<<) is not read: write out its content");
            }
            if !names.insert(text.to_owned()) {
                return Err("a name is repeated");
            }
            if !std::mem::replace(is_empty, false) {
                self.json.push(',');
            }
            *named = true;
            push_text(&mut self.json, text);
            self.json.push(':');
            return Ok(());
        }
        self.before_value()?;
        match is_plain.then(|| of_json(text)).flatten() {
            Some(literal) => self.json.push_str(literal),
            None => push_text(&mut self.json, text),
        }
        Ok(())
    }

    fn start(&mut self, bracket: char, names: Option<HashSet<String>>) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        self.before_value()?;
        self.json.push(bracket);
        self.open.push(Open { names, is_empty: true, named: false });
        Ok(())
    }

    fn end(&mut self, bracket: char) -> Result<(), &'static str> {
        self.open.pop();
        self.json.push(bracket);
        Ok(())
    }

    /// The comma before a further item; a value of a mapping follows its name.
    fn before_value(&mut self) -> Result<(), &'static str> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        if open.names.is_some() {
            return match std::mem::replace(&mut open.named, false) {
                true => Ok(()),
                false => Err("a name is a list or a mapping"),
            };
        }
        if !std::mem::replace(&mut open.is_empty, false) {
            self.json.push(',');
        }
        Ok(())
    }
}

fn untagged(tag: Option<&Tag>) -> Result<(), &'static str> {
    tag.map_or(Ok(()), |_| Err("a tag (!name) is not read"))
}

/// A plain text that means the same in JSON, in JSON's notation.
fn of_json(text: &str) -> Option<&str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some("null"),
        "true" | "false" => Some(text),
        number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            serde_json::from_str::<&RawValue>(number).is_ok().then_some(number)
        }
        _ => None,
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            c if c < ' ' => {
                let digits = [u32::from(c) >> 4, u32::from(c) & 15].map(|digit| char::from_digit(digit, 16));
                json.push_str("\\u00");
                json.extend(digits.into_iter().flatten());
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

const ESCAPE_BYTES: usize = 6;
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<String, Refusal> {
        to_json(text).map(|json| json.to_string())
    }

    #[test]
    fn what_json_does_not_have_keeps_its_text() {
        let text = "A: 1.50\nB: yes\nC: 0x1F\nD: 'true'\nE: true\nF:\nG: |\n  two\n  \"lines\"\n\
            H: [1, ~, {x: y}]\nNO: \"\\x01\"\n";
        let expected = r#"{"A":1.50,"B":"yes","C":"0x1F","D":"true","E":true,"F":null,"G":"two\n\"lines\"\n","H":[1,null,{"x":"y"}],"NO":"\u0001"}"#;
        assert_eq!(json(text).unwrap(), expected);
        assert_eq!(json("# nothing\n").unwrap(), "{}");
    }

    #[test]
    fn what_would_be_a_guess_is_refused_by_its_line_without_its_text() {
        for (text, line) in [
            ("A: &x hunter2\nB: *x\n", 2),
            ("A: {x: 1}\nB:\n  <<: hunter2\n", 3),
            ("A: !Ref hunter2\n", 1),
            ("A: hunter2\n---\nB: 2\n", 2),
            ("A: hunter2\nA: 2\n", 2),
            ("? [hunter2]\n: 1\n", 1),
        ] {
            let refusal = json(text).unwrap_err();
            assert_eq!(refusal.line, line, "{}", refusal.what);
            assert!(!refusal.what.contains("hunter2"));
        }
        assert!(json(&"[".repeat(100)).is_err() && json("A: \"hunter2\nB").is_err());
    }
}
