//! `api-key`: the keys with which clients call the server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use strongroom::{DocumentId, LinkedAccountId, Org, PageRequest, Timestamp};
use strongroom_http::control::{ApiKey, ApiKeyRequest, KeyRevoked, OpenSessions, RotateKey, Status};
use strongroom_http::{
    ApiKeyInfo, ApiKeys, CreatedApiKey, Grant, GrantError, NewApiKey, Right, UnknownRight,
};
use zeroize::Zeroizing;

use super::audit::{refuse_left_out, refuse_unreadable};
use crate::client::{Call, Client};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::output::{Output, counted, time};
use crate::scope_args::refuse_blank_ends;
use crate::suggest;

/// `api-key` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Create a key and print it; it cannot be shown again
    Create(Create),
    /// List the keys without showing them
    List,
    /// Revoke a key; asks first if this command itself uses it
    Revoke(Revoke),
    /// Create a key with the same rights that replaces another one, and print it
    Rotate(Rotate),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Create {
    /// A display name, for who or what will use it
    name: String,
    /// A right: documented, read, write, reveal, admin or operate; repeat it for several [default: documented, the
    /// calls of /api/v2/public]
    #[arg(long = "right", value_name = "RIGHT", value_parser = right)]
    rights: Vec<Right>,
    /// Narrow read, write and reveal to this variable, or to all that begin with it if it ends in *; repeat it for
    /// several
    #[arg(long = "only", value_name = "NAME")]
    names: Vec<String>,
    /// Narrow them to this linked account; repeat it for several
    #[arg(long = "account", value_name = "ID")]
    accounts: Vec<LinkedAccountId>,
    /// Refuse it after this time, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires_in: Option<Duration>,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Revoke {
    /// The id of the API key, as `strongroom api-key list` shows it
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

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rotate {
    /// The id of the API key, as `strongroom api-key list` shows it
    id: DocumentId,
    /// Accept the old key for this much longer, such as 24h [default: 0s; 10m for the key with which this command calls
    /// a server, and at least 60s, in case the new one is lost on its way]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,
    /// Refuse the new key after this time, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires_in: Option<Duration>,
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

/// A key in a list, which does not show it.
#[derive(Serialize)]
struct KeyView {
    id: String,
    name: String,
    rights: Vec<String>,
    names: Vec<String>,
    linked_account_ids: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    /// A day.
    last_used: Option<String>,
    /// The id of the key that made it.
    made_by: Option<String>,
}

impl ApiKeyCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(org, output).await,
            Self::List => list(org, output).await,
            Self::Revoke(revoke) => revoke.run(org, output).await,
            Self::Rotate(rotate) => rotate.run(org, output).await,
        }
    }
}

impl ApiKeyCommand {
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => {
                for account in &create.accounts {
                    client.note_new_account(account, output);
                }
                let body = create.request()?;
                show_made(&client.control_post(&["api-keys"], &body)?, output)
            }
            Self::List => {
                let (keys, unreadable) = keys_of(client)?;
                show((keys.into_iter().map(KeyView::of_server).collect(), unreadable), output)
            }
            Self::Revoke(revoke) => revoke.on_server(client, output),
            Self::Rotate(rotate) => rotate.on_server(client, output),
        }
    }
}

impl Create {
    fn request(self) -> Result<ApiKeyRequest, Failure> {
        Ok(ApiKeyRequest {
            name: self.name,
            rights: self.rights.iter().map(|right| right.as_str().to_owned()).collect(),
            names: (!self.names.is_empty()).then_some(self.names),
            linked_account_ids: (!self.accounts.is_empty())
                .then(|| self.accounts.iter().map(ToString::to_string).collect()),
            expires_at: self.expires_in.map(time_from_now).transpose()?.map(time),
        })
    }

    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let rights = if self.rights.is_empty() { vec![Right::Documented] } else { self.rights };
        let mut grant = Grant::of(rights);
        let refused = |error: GrantError| Failure::usage(error.to_string());
        if !self.names.is_empty() {
            grant = grant.only_names(self.names).map_err(refused)?;
        }
        for account in &self.accounts {
            refuse_blank_ends(account)?;
            suggest::note_new_account(org, account, output).await;
        }
        if !self.accounts.is_empty() {
            grant = grant.only_accounts(self.accounts).map_err(refused)?;
        }
        let mut key = NewApiKey::named(self.name).with(grant);
        if let Some(life) = self.expires_in {
            key = key.expires_at(time_from_now(life)?);
        }
        show_created(ApiKeys::of(org)?.create(key).await?, org, output)
    }
}

impl Rotate {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
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

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
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

impl Revoke {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
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
        if !was_there && !self.with_sessions && (made.keys.is_empty() || !self.with_children) {
            return Err(absent(&id));
        }
        let children = made.keys.into_iter().map(|key| Child { id: key.id.to_string(), name: key.name });
        revoked((&id, was_there), (children.collect(), self.with_children), ended, output)?;
        name_unreadable(&made.unreadable, self.with_children, output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        self.ask(client)?;
        let Self { id, with_sessions, with_children, .. } = self;
        let too = [("with_children", with_children), ("with_sessions", with_sessions)];
        let query: Vec<_> = too.iter().filter(|(_, too)| *too).map(|(name, _)| (*name, "true")).collect();
        let path = ["api-keys", &id.to_string()];
        // All in one call: the key may be the one that calls, or one that made it.
        let gone: KeyRevoked = client.control_delete(Call { path: &path, query: &query })?;
        let children = gone.children.into_iter().map(|key| Child { id: key.id, name: key.name });
        revoked((&id, gone.deleted), (children.collect(), with_children), gone.sessions_ended, output)?;
        name_unreadable(&gone.unreadable, with_children, output)
    }

    /// Asks before the key is revoked with which this command calls, either by name or as a key made by the named one.
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

/// The keys of a server that can be read, and why the others cannot.
fn keys_of(client: &Client) -> Result<(Vec<ApiKey>, Vec<String>), Failure> {
    client.control_list(Call { path: &["api-keys"], query: &[] })
}

/// The id of the key with which this command calls.
fn own_id(client: &Client) -> Result<String, Failure> {
    Ok(client.control_get::<Status>(Call { path: &["status"], query: &[] })?.api_key_id)
}

/// How long that key is accepted after it was replaced.
const OWN_GRACE: Duration = Duration::from_secs(600);
/// The shortest that a server accepts.
const OWN_GRACE_MIN: Duration = Duration::from_secs(60);

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

fn revoked(
    (id, was_there): (&DocumentId, bool),
    (children, children_revoked): (Vec<Child>, bool),
    sessions: Option<usize>,
    output: &Output,
) -> Result<(), Failure> {
    let names: Vec<_> = children.iter().map(|child| format!("{} ({})", child.id, child.name)).collect();
    let (made, names) = (counted(children.len(), "key"), names.join(", "));
    let what = match (was_there, children_revoked && !children.is_empty()) {
        (true, true) => format!("API key {id} and the {made} that it made: {names}"),
        (false, _) => format!("the {made} that API key {id} made, which is not there itself: {names}"),
        (true, false) => format!("API key {id}"),
    };
    if !children.is_empty() && !children_revoked {
        output.warn(&format!(
            "it made {made}, which stay valid: {names}; the same command with --with-children revokes them"
        ));
    }
    let sentence = match sessions {
        Some(ended) => format!("revoked {what}; ended {}", counted(ended, "session")),
        None => {
            output.note(
                "sessions whose tokens the key issued go on until they expire: `strongroom account end-sessions --all` \
                 ends those of all accounts",
            );
            format!("revoked {what}")
        }
    };
    output.done(
        &sentence,
        &Revoked { id: id.to_string(), revoked: was_there, children, children_revoked, sessions },
    )
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

/// Prints only the key on standard output, so that it can be piped to where it will be kept.
fn show_made(key: &ApiKey, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(key);
    }
    let (id, environment) = (&key.id, &key.environment);
    output.note(&format!("API key {id} for environment {environment}; it cannot be shown again"));
    output.text(&format!("{}\n", key.api_key.as_ref().map_or("", |key| key.as_str())))
}

/// The same, for a key that was made here.
fn show_created(created: CreatedApiKey, org: &Org, output: &Output) -> Result<(), Failure> {
    let api_key = Some(Zeroizing::new(created.key.expose().to_owned()));
    let KeyView { id, name, rights, names, linked_account_ids, created_at, expires_at, last_used, made_by } =
        KeyView::of(created.info);
    let environment = org.environment().to_string();
    let made = ApiKey {
        id,
        name,
        api_key,
        environment,
        rights,
        names,
        linked_account_ids,
        created_at,
        expires_at,
        last_used,
        made_by,
    };
    show_made(&made, output)
}

async fn list(org: &Org, output: &Output) -> Result<(), Failure> {
    let keys = ApiKeys::of(org)?;
    let (mut all, mut unreadable) = (Vec::<ApiKeyInfo>::new(), Vec::new());
    let mut page = keys.list(PageRequest::default()).await?;
    loop {
        all.append(&mut page.items);
        unreadable.append(&mut page.unreadable);
        match page.next {
            Some(cursor) => page = keys.list(PageRequest::default().after(cursor)).await?,
            None => return show((all.into_iter().map(KeyView::of).collect(), unreadable), output),
        }
    }
}

impl KeyView {
    fn of_server(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            rights: key.rights,
            names: key.names,
            linked_account_ids: key.linked_account_ids,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used: key.last_used,
            made_by: key.made_by,
        }
    }

    fn of(key: ApiKeyInfo) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            rights: key.grant.rights().map(|right| right.as_str().to_owned()).collect(),
            names: key.grant.names().to_vec(),
            linked_account_ids: key.grant.accounts().iter().map(ToString::to_string).collect(),
            created_at: time(key.created_at),
            expires_at: key.expires_at.map(time),
            last_used: key.last_used.map(|day| time(day).chars().take(DATE_LEN).collect()),
            made_by: key.made_by.map(|id| id.to_string()),
        }
    }
}

/// Shows the keys that can be read; then the command fails if there are others.
fn show((mut views, unreadable): (Vec<KeyView>, Vec<String>), output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = views.iter().map(|view| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            view.id.clone(),
            view.name.clone(),
            view.rights.join(", "),
            [view.names.as_slice(), &view.linked_account_ids].concat().join(", "),
            view.created_at.clone(),
            text(&view.expires_at),
            text(&view.last_used),
        ]
    });
    output.list(["ID", "NAME", "RIGHTS", "ONLY", "CREATED", "EXPIRES", "LAST USED"], rows, &views)?;
    let step = "`strongroom api-key revoke ID` deletes one, which is refused as it is";
    refuse_left_out(&unreadable, "API key", step, output)
}

fn absent(id: &DocumentId) -> Failure {
    Failure::not_found(format!("there is no API key {id}")).next("`strongroom api-key list` lists the keys")
}

fn right(text: &str) -> Result<Right, UnknownRight> {
    text.parse()
}

const DATE_LEN: usize = 10;

/// A duration that is not zero.
fn lifetime(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("the lifetime must be longer than zero".to_owned()) } else { Ok(time) }
}

fn time_from_now(life: Duration) -> Result<Timestamp, Failure> {
    let moment =
        SystemTime::now().checked_add(life).and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    let ms = moment.and_then(|moment| u64::try_from(moment.as_millis()).ok());
    ms.map(Timestamp::from_ms).ok_or_else(|| {
        Failure::usage("--expires-in is too far away").next("name a shorter time, such as 365d")
    })
}
