//! `api-key revoke`: a key, and if asked the keys that it made and the sessions.

use serde::Serialize;
use strongroom::{DocumentId, Org};
use strongroom_http::ApiKeys;
use strongroom_http::control::{ApiKey, KeyRevoked, OpenSessions};

use super::{absent, key_id, keys_of, own_id};
use crate::client::{Call, Client};
use crate::commands::audit::refuse_unreadable;
use crate::consent::Consent;
use crate::failure::Failure;
use crate::output::{Output, counted};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Revoke {
    /// The id of the API key, as `strongroom api-key list` shows it
    #[arg(value_parser = key_id)]
    id: DocumentId,
    /// Also end the sessions of all linked accounts, including those for which the key issued tokens
    #[arg(long)]
    with_sessions: bool,
    /// Also revoke the keys that it made, directly or through others
    #[arg(long)]
    with_children: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    revoked: bool,
    /// The keys that it made.
    children: Vec<Child>,
    /// Whether those were revoked too.
    children_revoked: bool,
    /// How many sessions of accounts were ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
}

/// A key that was made by another one.
#[derive(Serialize)]
struct Child {
    id: String,
    name: String,
}

impl Revoke {
    pub(super) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (id, keys) = (self.id, ApiKeys::of(org)?);
        // First, so that it makes no more keys.
        let was_there = keys.revoke(&id).await?;
        let made = if self.with_children { keys.revoke_made(&id).await } else { keys.made_by(&id).await };
        // Even if other keys could not be revoked.
        let ended = match self.with_sessions {
            true => Some(OpenSessions::of(org)?.end_all().await?),
            false => None,
        };
        let made = made?;
        if !was_there && !self.with_sessions && !made.renewed && (made.keys.is_empty() || !self.with_children)
        {
            return Err(absent(&id));
        }
        let children = made.keys.into_iter().map(|key| Child { id: key.id.to_string(), name: key.name });
        let revoked = Revoked {
            id: id.to_string(),
            revoked: was_there,
            children: children.collect(),
            children_revoked: self.with_children,
            sessions: ended,
        };
        revoked.show(output)?;
        name_unreadable(&made.unreadable, self.with_children, output)
    }

    pub(super) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        self.ask(client)?;
        let Self { id, with_sessions, with_children, .. } = self;
        let too = [("with_children", with_children), ("with_sessions", with_sessions)];
        let query: Vec<_> = too.iter().filter(|(_, too)| *too).map(|(name, _)| (*name, "true")).collect();
        let id = id.to_string();
        let path = ["api-keys", &id];
        // All in one call: the key may be the one that calls, or one that made it.
        let gone: KeyRevoked = client.control_delete(Call { path: &path, query: &query })?;
        let children = gone.children.into_iter().map(|key| Child { id: key.id, name: key.name });
        let revoked = Revoked {
            id,
            revoked: gone.deleted,
            children: children.collect(),
            children_revoked: with_children,
            sessions: gone.sessions_ended,
        };
        revoked.show(output)?;
        name_unreadable(&gone.unreadable, with_children, output)
    }

    /// Asks before it revokes the key that this command itself uses: the named one, or one that the named one made.
    fn ask(&self, client: &Client) -> Result<(), Failure> {
        let id = self.id.to_string();
        let own = own_id(client)?;
        if own == id {
            return self.consent.to(&format!("revoke API key {id}, with which this command calls"));
        }
        if self.with_children {
            // A key that cannot be read may be one in between.
            let (keys, _) = keys_of(client)?;
            if may_have_made(&keys, &id, &own) {
                return self.consent.to(&format!(
                    "revoke API key {id} and the keys that it made: that with which this command calls may be one"
                ));
            }
        }
        Ok(())
    }
}

impl Revoked {
    fn show(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, revoked, children, children_revoked, sessions } = self;
        let names: Vec<_> = children.iter().map(|child| format!("{} ({})", child.id, child.name)).collect();
        let (made, names) = (counted(children.len(), "key"), names.join(", "));
        let done = match (*revoked, *children_revoked && !children.is_empty()) {
            (true, true) => format!("revoked API key {id} and the {made} that it made: {names}"),
            (true, false) => format!("revoked API key {id}"),
            (false, true) => {
                format!("revoked the {made} that API key {id} made, which is not there itself: {names}")
            }
            (false, false) if *children_revoked => format!("API key {id} is not there, nor any that it made"),
            (false, false) => format!("API key {id} is not there"),
        };
        if !children.is_empty() && !*children_revoked {
            output.warn(&format!(
                "it made {made}, which stay valid: {names}; the same command with --with-children revokes them"
            ));
        }
        let sentence = match sessions {
            Some(ended) => format!("{done}; ended {}", counted(*ended, "session")),
            None => {
                output.note(
                    "sessions whose tokens the key issued go on until they expire: `strongroom account end-sessions \
                     --all` ends those of all accounts",
                );
                done
            }
        };
        output.done(&sentence, self)
    }
}

/// Whether `id` made the key `own`, by itself or through keys that it made. It may have, if one of the keys in between
/// is gone.
fn may_have_made(keys: &[ApiKey], id: &str, own: &str) -> bool {
    let mut made = own;
    for _ in keys {
        match keys.iter().find(|key| key.id == made).map(|key| key.made_by.as_deref()) {
            Some(Some(maker)) if maker != id => made = maker,
            Some(maker) => return maker.is_some(),
            None => return true,
        }
    }
    true
}

/// Names the API keys that cannot be read. They may be among those to be revoked; then the command fails.
fn name_unreadable(unreadable: &[String], with_children: bool, output: &Output) -> Result<(), Failure> {
    if !with_children || unreadable.len() > 1 {
        unreadable.iter().for_each(|why| output.warn(&format!("it may have made one more: {why}")));
    }
    match with_children {
        true => refuse_unreadable(unreadable.iter().map(String::as_str), "API key").map_err(|failure| {
            failure.next(
                "all else was revoked; `strongroom api-key revoke ID` revokes one that cannot be read too",
            )
        }),
        false => Ok(()),
    }
}
