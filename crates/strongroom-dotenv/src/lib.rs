//! Reads and writes `.env` files without losing a value.
//!
//! There is no standard for `.env`, and readers differ. This one takes what python-dotenv and Node's dotenv agree on;
//! where they do not, it takes the reading that keeps what was written, and where every reading would be a guess it
//! refuses the line by its number. No interpolation: `$NAME` stays as written, with a [`Note`]. No value appears in an
//! error, a note or a `Debug` output.
//!
//! ```
//! let file = strongroom_dotenv::parse("API_URL=https://example.com/#top\nAPI_SECRET='pa$$ word'\n")?;
//! let pairs: Vec<_> = file.entries.iter().map(|entry| (entry.name(), entry.expose())).collect();
//! assert_eq!(pairs, [("API_URL", "https://example.com/#top"), ("API_SECRET", "pa$$ word")]);
//! assert_eq!(strongroom_dotenv::write(pairs)?, "API_URL='https://example.com/#top'\nAPI_SECRET='pa$$ word'\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//! A statement is `NAME=value`, `export NAME=value` or `NAME: value`, with white space allowed around the name and the
//! value. A line ends in LF, CRLF or CR; a byte order mark in front is skipped. A name is made of ASCII letters,
//! digits, `_`, `.` and `-`. A name that is assigned twice keeps its last value, and a name without a value makes no
//! entry; each leaves a [`Note`].
//!
//! - Without quotes, a value goes to the end of the line or to a `#` after white space, is trimmed, and stands for
//!   itself. What such a `#` cuts off leaves a [`Note`].
//! - In `'` or `` ` `` it stands for itself, over several lines if need be; a backslash before the same quote makes it
//!   part of the value.
//! - In `"` it may span lines too, and `\n`, `\r`, `\t`, `\"`, `\\`, `\$` and `` \` `` are escapes. Any other
//!   backslash stands for itself.
//! - After a closing quote only white space and a comment may follow. If something else does, or if only an escaped
//!   quote closes the line, the value is what stands between the outer quotes of that line, as written:
//!   `"{"a": 1}"`, `"C:\dir\"`. With no outer pair the quotes belong to the value: `"a"b`. Both leave a [`Note`]. A
//!   second statement behind the quote is an error.
//! - A line break in quotes is LF, whatever the file uses; a CR is written `"\r"`.
//!
//! # Where readers differ
//! | written | this crate | python-dotenv 1.2 | Node's dotenv 18 |
//! |---|---|---|---|
//! | `A=b#c` | `b#c` | `b#c` | `b` |
//! | `A=#c` | `#c` | `#c` | empty |
//! | `A="\t"` | a tab | a tab | `\t` |
//! | `A="\""`, `A="\\"` | `"`, `\` | `"`, `\` | `\"`, `\\` |
//! | `A="\$b"` | `$b`, as in a shell | `\$b` | `\$b` |
//! | `A="\a"`, and `\b`, `\f`, `\v`, `\'` | `\a` | unescaped | `\a` |
//! | `A='b\'c'` | `b'c` | `b'c` | `b\'c` |
//! | `A='b\\c'` | `b\\c` | `b\c` | `b\\c` |
//! | `` A=`b` `` | `b` | `` `b` `` | `b` |
//! | `A: b` | `b` | dropped | `b` |
//! | `A` | a note | no value | dropped |
//! | `A="b"c` | `"b"c` | dropped | `"b"c` |
//! | `A="b"; C="d"` | error | dropped | `b"; C="d` |
//! | `A="b" C=d` | error | dropped | `"b" C=d` |
//! | `A=b; C=d` | `b; C=d`, a note | `b; C=d` | `b; C=d` |
//! | `A=b\ c` | `b\ c`, a note | `b\ c` | `b\ c` |
//! | `A=$B`, `A="$(b)"` | as written, a note | as written | as written |
//! | `A="{"a": 1}"` | `{"a": 1}` | dropped | `{"a": 1}` |
//! | `A="{"#a": 1}"` | `{"#a": 1}` | `{` | `{` |
//! | `A='C:\dir\'` | `C:\dir\` | dropped | `C:\dir\` |
//! | `A="b`, never closed | error | dropped | `"b` |
//! | `A:B=c`, `É=c` | error | `c` | dropped |
//! | any other line | error | dropped | dropped |
//!
//! # What is written
//! [`write`](write()) picks the first of: no quotes, single quotes, no quotes with backslashes, double quotes. Node's
//! dotenv, python-dotenv and a POSIX shell read back what was written, with these exceptions: in double quotes Node
//! keeps the backslash of every escape but `\n` and `\r`, python-dotenv that of `\$` and `` \` ``, and a shell knows
//! no `\r`; a shell drops backslashes outside of quotes; and python-dotenv expands `${NAME}` even in single quotes
//! unless told not to. [`write_for`] writes for one [`Reader`] what it reads back byte for byte, and refuses the rest.

mod entry;
mod error;
mod parse;
mod reader;
mod write;

pub use entry::{Entry, EnvFile, Note, NoteKind, is_name};
pub use error::{InvalidName, ParseError, ParseErrorKind, Unwritable};
pub use parse::parse;
pub use reader::{Reader, write_for};
pub use write::write;
