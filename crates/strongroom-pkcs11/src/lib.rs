#![doc = include_str!("../README.md")]

mod failure;
mod key;
mod link;
mod options;
mod token;
mod wrapping;

pub use options::{TokenOptions, Wrapping};
pub use token::{Token, TokenKey};
