//! `api-key`: the keys with which clients call the server.

mod revoke;
mod rotate;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use strongroom::{DocumentId, LinkedAccountId, Org, PageRequest, Timestamp};
use strongroom_http::control::{ApiKey, ApiKeyRequest, Status};
use strongroom_http::{
    ApiKeyInfo, ApiKeys, CreatedApiKey, Grant, GrantError, NewApiKey, Right, UnknownRight,
};
use zeroize::Zeroizing;

use self::revoke::Revoke;
use self::rotate::Rotate;
use super::audit::refuse_left_out;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{Output, time};
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
    #[arg(long, value_name = "TIME", value_parser = lifetime, allow_hyphen_values = true)]
    expires_in: Option<Duration>,
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

/// The keys of a server that can be read, and why the others cannot.
fn keys_of(client: &Client) -> Result<(Vec<ApiKey>, Vec<String>), Failure> {
    client.control_list(Call { path: &["api-keys"], query: &[] })
}

/// The id of the key with which this command calls.
fn own_id(client: &Client) -> Result<String, Failure> {
    Ok(client.control_get::<Status>(Call { path: &["status"], query: &[] })?.api_key_id)
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
    output.list(["ID", "NAME", "RIGHTS", "ONLY FOR", "CREATED", "EXPIRES", "LAST USED"], rows, &views)?;
    let step = "`strongroom api-key revoke ID` deletes one, which is refused as it is";
    refuse_left_out(&unreadable, "API key", step, output)
}

fn absent(id: &DocumentId) -> Failure {
    Failure::not_found(format!("there is no API key {id}")).next(
        "`strongroom api-key list` lists the keys; one that was revoked is not there, and needs nothing more",
    )
}

fn key_id(text: &str) -> Result<DocumentId, &'static str> {
    text.parse().map_err(|_| "an API key is named by its id, which `strongroom api-key list` shows")
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
