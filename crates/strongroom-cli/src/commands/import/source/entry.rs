//! An entry of any file. The fuzz target compiles this and the readers of JSON and YAML, so they need nothing else of
//! this crate.

use strongroom::{Secret, VarFormat};

/// A name of the file, with its value or why it has none.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: Result<Secret, &'static str>,
    /// The same as a variable of format `bytes` has it, from a file that says which bytes it means.
    pub(super) bytes: Option<Secret>,
    /// Whether the value is taken as bytes.
    pub(crate) is_bytes: bool,
    /// The line in a `.env` file.
    pub(crate) line: Option<usize>,
    /// Whether the value is an object or a list, whose text is kept.
    pub(super) is_nested: bool,
}

impl Entry {
    pub(crate) fn new(name: &str, value: Result<Secret, &'static str>) -> Self {
        Self { name: name.to_owned(), value, bytes: None, is_bytes: false, line: None, is_nested: false }
    }

    /// Takes the bytes for a variable of that format, and for a new one whose content is not text.
    pub(crate) fn for_format(mut self, present: Option<&VarFormat>) -> Self {
        let is_text = self.value.as_ref().is_ok_and(|text| !text.expose().contains('\0'));
        self.is_bytes = match present {
            Some(format) => *format == VarFormat::Bytes,
            None => !is_text,
        };
        self.is_bytes &= self.bytes.is_some();
        match self.bytes.take().filter(|_| self.is_bytes) {
            Some(bytes) => Self { value: Ok(bytes), ..self },
            None => self,
        }
    }
}
