//! Times that are kept, or sent to a server, in seconds.

use std::time::Duration;

/// Parses a time such as `90d`. One with a part of a second would be shortened, and `500ms` would be none at all.
pub(super) fn whole_secs(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match time.subsec_nanos() {
        0 => Ok(time),
        _ => Err("this time is in whole seconds".to_owned()),
    }
}
