//! `api-key rotate`: a key that replaces another one.

use std::time::Duration;

use strongroom::{DocumentId, Org};
use strongroom_http::ApiKeys;
use strongroom_http::control::RotateKey;

use super::{absent, key_id, keys_of, lifetime, own_id, show_created, show_made, time_from_now};
use crate::client::Client;
use crate::commands::whole_secs::whole_secs;
use crate::failure::Failure;
use crate::output::{Output, time};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rotate {
    /// The id of the API key, as `strongroom api-key list` shows it
    #[arg(value_parser = key_id)]
    id: DocumentId,
    /// Accept the old key for this much longer, such as 24h [default: 0s; 10m for the key with which this command calls
    /// a server, and at least 60s, in case the new one is lost on its way]
    #[arg(long, value_name = "TIME", value_parser = whole_secs, allow_hyphen_values = true)]
    grace: Option<Duration>,
    /// Refuse the new key after this time, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = lifetime, allow_hyphen_values = true)]
    expires_in: Option<Duration>,
}

impl Rotate {
    pub(super) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (id, until) = (self.id, time_from_now(self.grace.unwrap_or_default())?);
        let expires_at = self.expires_in.map(time_from_now).transpose()?;
        let (keys, now) = (ApiKeys::of(org)?, time_from_now(Duration::ZERO)?);
        let old = keys.info(&id).await?;
        if old.as_ref().is_some_and(|old| old.expires_at.is_some_and(|moment| moment <= now)) {
            return Err(Failure::invalid("the API key has expired")
                .next("`strongroom api-key create` makes a new one"));
        }
        let old_end = old.and_then(|old| old.expires_at);
        match keys.rotate(&id, until, expires_at).await? {
            Some(created) => {
                let until = old_end.map_or(until, |moment| moment.min(until));
                output.note(&format!("API key {id} is refused from {} on", time(until)));
                show_created(created, org, output)
            }
            None => Err(absent(&id)),
        }
    }

    pub(super) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (id, expires_at) =
            (self.id.to_string(), self.expires_in.map(time_from_now).transpose()?.map(time));
        let grace = match self.grace {
            Some(grace) if grace < OWN_GRACE_MIN && own_id(client)? == id => {
                let why = "this command uses that key, which must stay valid in case the new one is lost on its way";
                return Err(Failure::usage(why).next(
                    "give --grace 60s at least, and `strongroom api-key revoke` it once the new one is kept",
                ));
            }
            Some(grace) => grace,
            None if own_id(client)? == id => OWN_GRACE,
            None => Duration::ZERO,
        };
        let body = RotateKey { grace_secs: grace.as_secs(), expires_at };
        let made = client.control_post(&["api-keys", &id, "rotate"], &body)?;
        show_made(&made, output)?;
        if grace.is_zero() {
            output.note(&format!("API key {id} is refused from now on"));
            return Ok(());
        }
        // As it is stored: it may have expired before that, or have been replaced earlier with another grace.
        let stored = keys_of(client).ok().and_then(|(keys, _)| keys.into_iter().find(|key| key.id == id));
        let until = match stored.and_then(|key| key.expires_at) {
            Some(moment) => format!("until {moment}"),
            None => format!("for {} at most", humantime::format_duration(grace)),
        };
        output.note(&format!("API key {id} is accepted {until}; `strongroom api-key revoke {id}` ends that"));
        Ok(())
    }
}

/// How long that key is accepted after it was replaced.
const OWN_GRACE: Duration = Duration::from_secs(600);
/// The shortest that a server accepts.
const OWN_GRACE_MIN: Duration = Duration::from_secs(60);
