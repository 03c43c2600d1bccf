//! Reads and writes `.env` files without losing a value.

mod entry;
mod error;
mod parse;
mod write;

pub use entry::{Entry, EnvFile, Note, NoteKind, is_name};
pub use error::{InvalidName, ParseError, ParseErrorKind};
pub use parse::parse;
pub use write::write;
