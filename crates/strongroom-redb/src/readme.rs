//! The project's README, so that its code is compiled and run with the documentation tests.
#![doc = include_str!("../../../README.md")]
