//! Regular expressions that users write and an application runs: what they cost is counted before they are accepted.
//!
//! A [`Pattern`] is vetted once, when it is saved, and then asks of whole values whether they match. Two promises are
//! the reason for a crate of its own, beside [`regex`](https://docs.rs/regex):
//!
//! * **Work is counted in steps, the same on every machine.** A pattern is refused if compiling it or matching the
//!   longest value with it would take more than a fixed number of steps. Time, memory and the width of a pointer have
//!   no say in it: one version of this crate and of its parser accepts a pattern on every machine or on none.
//! * **Look-around without backtracking.** `(?=…)`, `(?!…)`, `(?<=…)` and `(?<!…)`, which real patterns of names and
//!   tokens are full of, within the same bounds. No value makes a pattern slow or fails to be matched.
//!
//! ```
//! use strongroom_pattern::{Pattern, PatternError};
//!
//! let name = Pattern::draft("^(?!.*--)[a-z][a-z0-9-]{2,62}(?<!-)$").must_match("a-name").vet()?;
//! let matcher = name.compile()?;
//! assert!(matcher.matches("b-4") && !matcher.matches("b--4") && !matcher.matches("b-4-"));
//! let refused = Pattern::draft("(a{1000}){1000}").vet().unwrap_err();
//! assert!(matches!(refused, PatternError::TooComplex { .. }));
//! # Ok::<(), PatternError>(())
//! ```
//!
//! # Limits
//! | of | at most |
//! |---|---|
//! | the text of a pattern | 1 KiB of UTF-8 |
//! | its examples | 32, of 4 KiB together |
//! | steps to compile it | 1,500,000; one visits a node, a member of a set or an interval of characters |
//! | steps to match a value | 12,000,000; one reads or writes a word of 64 bits |
//! | look-arounds | 16, of which 7 of more than one character |
//! | nesting | 64 groups |
//! | a compiled pattern | [`MATCHER_BYTES_MAX`] of memory |
//! | a value | [`VALUE_BYTES_MAX`] of UTF-8; a longer one does not match |
//!
//! # Cost
//! A pattern becomes a table of states with one column for each class of characters that it tells apart, so a value
//! costs one look-up a character, whatever the pattern. Where the table would be too large, as for `.{1,90}:.{1,90}`,
//! a value moves through the places of the pattern instead, a bit for each; what a character costs there, and so what
//! the longest value does, is bounded when the pattern is compiled. A look-around of more than one character is a
//! pattern of its own, and a value costs all of them together.
//!
//! # Errors
//! A [`PatternError`] says what is wrong, at which byte, and what to write instead. It quotes neither the pattern nor
//! an example. Matching cannot fail.
//!
//! # Sources
//! The syntax is that of [`regex-syntax`](https://docs.rs/regex-syntax), which parses it; what patterns of ECMA-262
//! (its Annex B included), Java, Go and Python mean by other forms is listed at [`Pattern`]. The table is the subset
//! construction; the bits simulate Glushkov's automaton as Navarro and Raffinot do in *Flexible Pattern Matching in
//! Strings* (2002), chapter 5.
//!
//! It is not: a search. There are no captures, no positions and no replacements, and nothing in it knows what the
//! values are.

mod alphabet;
mod bit_parallel;
mod budget;
mod condition;
mod dfa;
mod dialect;
mod error;
mod look;
mod machine;
mod matcher;
mod nfa;
mod pattern;
mod side;
mod states;
mod syntax;

pub use budget::VALUE_BYTES_MAX;
pub use error::PatternError;
pub use matcher::{MATCHER_BYTES_MAX, Matcher};
pub use pattern::{Pattern, PatternDraft};
