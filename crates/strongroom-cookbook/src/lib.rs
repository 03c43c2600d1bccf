//! The recipes of `docs/COOKBOOK.md` of the engine, as tests: `cargo test -p strongroom-cookbook`.

#[cfg(doctest)]
#[doc = include_str!("../../strongroom/docs/COOKBOOK.md")]
mod cookbook {}
