//! Settings from the environment of the process.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use crate::failure::Failure;

/// The text of `STRONGROOM_<name>`; an empty one counts as not set.
pub(super) fn text(name: &str) -> Result<Option<String>, Failure> {
    let name = ["STRONGROOM_", name].concat();
    let value = env::var_os(&name).filter(|value| !value.is_empty());
    value
        .map(|value| value.into_string().map_err(|_| Failure::usage(format!("{name} is not UTF-8"))))
        .transpose()
}

/// The same, parsed.
pub(super) fn parsed<T: FromStr<Err: Display>>(name: &str) -> Result<Option<T>, Failure> {
    let parsed = text(name)?.map(|text| text.parse()).transpose();
    parsed.map_err(|error| Failure::usage(format!("STRONGROOM_{name}: {error}")))
}
