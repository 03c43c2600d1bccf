//! The documents in the folder `docs/` of the source.
//!
//! Each document defines its links to the others at its end. Here the same links are defined before its text, and the
//! first definition wins, so that they lead to the pages of this documentation.

#[doc = "[FORMAT.md]: crate::docs::format_v1"]
#[doc = "[MECHANISMS.md]: crate::docs::mechanisms"]
#[doc = "[THREATS.md]: crate::docs::threats\n"]
#[doc = include_str!("../docs/ARCHITECTURE.md")]
pub mod architecture {}

#[doc = "[ARCHITECTURE.md]: crate::docs::architecture"]
#[doc = "[FORMAT.md]: crate::docs::format_v1"]
#[doc = "[THREATS.md]: crate::docs::threats\n"]
#[doc = include_str!("../docs/MECHANISMS.md")]
pub mod mechanisms {}

#[doc = "[`Store`]: crate::store::Store\n"]
#[doc = include_str!("../docs/FORMAT.md")]
pub mod format_v1 {}

#[doc = "[FORMAT.md]: crate::docs::format_v1\n"]
#[doc = include_str!("../docs/THREATS.md")]
pub mod threats {}

#[doc = "[FORMAT.md]: crate::docs::format_v1"]
#[doc = "[THREATS.md]: crate::docs::threats\n"]
#[doc = include_str!("../docs/KEYS.md")]
pub mod keys {}

#[doc = "[THREATS.md]: crate::docs::threats"]
#[doc = "[WRITE_A_STORE.md]: crate::docs::write_a_store\n"]
#[doc = include_str!("../docs/BACKENDS.md")]
pub mod backends {}

// Not compiled here, since its recipes need a runtime: `strongroom-cookbook` runs them.
#[cfg(not(doctest))]
#[doc = "[FORMAT.md]: crate::docs::format_v1\n"]
#[doc = include_str!("../docs/COOKBOOK.md")]
pub mod cookbook {}

// Not compiled here: `strongroom-sqlite` checks that the code shown is its own.
#[cfg(not(doctest))]
#[doc = "[`Store`]: crate::store::Store\n[`Page::fill`]: crate::store::Page::fill"]
#[doc = "[`Capabilities::embedded`]: crate::store::Capabilities::embedded\n\n"]
#[doc = include_str!("../docs/WRITE_A_STORE.md")]
pub mod write_a_store {}
