#![doc = include_str!("../README.md")]

mod measured;
mod vault;

pub use measured::MeasuredStore;
pub use vault::VaultMetrics;
