//! The documents that come with the source, as they stand in `docs/`.

#[doc = "[`Store`]: crate::store::Store\n\n"]
#[doc = include_str!("../docs/FORMAT.md")]
pub mod format_v1 {}
