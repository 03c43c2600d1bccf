//! A row is a value: from it follow its key, its plaintext's form and what it is called.

pub(crate) mod body;
pub(crate) mod key;
pub(crate) mod parse;
