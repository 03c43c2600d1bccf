//! `api-key`: the keys with which clients call the server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use strongroom::{DocumentId, Org, PageRequest, Timestamp};
use strongroom_http::{ApiKeyInfo, ApiKeys, NewApiKey};

use crate::failure::Failure;
use crate::output::{Output, time};

/// `api-key` as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Create a key and print it; it cannot be shown again
    Create(Create),
    /// List the keys without showing them
    List,
    /// Refuse a key from now on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Who or what will use it, for people
    name: String,
    /// Refuse it after this time, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    id: DocumentId,
}

#[derive(Serialize)]
struct Created<'a> {
    id: String,
    name: &'a str,
    api_key: &'a str,
    environment: &'a str,
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    revoked: bool,
}

/// A key in a list, which does not show it.
#[derive(Serialize)]
struct KeyView {
    id: String,
    name: String,
    created_at: String,
    expires_at: Option<String>,
}

impl ApiKeyCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(org, output).await,
            Self::List => list(org, output).await,
            Self::Revoke(revoke) => revoke.run(org, output).await,
        }
    }
}

impl Create {
    /// Prints only the key on standard output, so that it can be piped to where it is kept.
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let mut key = NewApiKey::named(self.name);
        if let Some(life) = self.expires_in {
            key = key.expires_at(after(life)?);
        }
        let created = ApiKeys::of(org)?.create(key).await?;
        let info = &created.info;
        if output.is_json() {
            return output.json(&Created {
                id: info.id.to_string(),
                name: &info.name,
                api_key: created.key.expose(),
                environment: org.environment().as_str(),
                expires_at: info.expires_at.map(time),
            });
        }
        let (id, environment) = (info.id, org.environment());
        output.note(&format!("API key {id} for environment {environment}; it cannot be shown again"));
        output.text(&format!("{}\n", created.key.expose()))
    }
}

impl Revoke {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let id = self.id;
        if !ApiKeys::of(org)?.revoke(&id).await? {
            return Err(Failure::not_found(format!("there is no API key {id}"))
                .next("`strongroom api-key list` lists the keys"));
        }
        output.done(&format!("revoked API key {id}"), &Revoked { id: id.to_string(), revoked: true })
    }
}

async fn list(org: &Org, output: &Output) -> Result<(), Failure> {
    let keys = ApiKeys::of(org)?;
    let mut all: Vec<ApiKeyInfo> = Vec::new();
    let mut page = keys.list(PageRequest::default()).await?;
    loop {
        all.append(&mut page.items);
        match page.next {
            Some(cursor) => page = keys.list(PageRequest::default().after(cursor)).await?,
            None => return show(all.into_iter().map(KeyView::of).collect(), output),
        }
    }
}

impl KeyView {
    fn of(key: ApiKeyInfo) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            created_at: time(key.created_at),
            expires_at: key.expires_at.map(time),
        }
    }
}

fn show(mut views: Vec<KeyView>, output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = views.iter().map(|view| {
        let expires = view.expires_at.clone().unwrap_or_default();
        [view.id.clone(), view.name.clone(), view.created_at.clone(), expires]
    });
    output.list(["ID", "NAME", "CREATED", "EXPIRES"], rows, &views)
}

fn after(life: Duration) -> Result<Timestamp, Failure> {
    let moment =
        SystemTime::now().checked_add(life).and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    let ms = moment.and_then(|moment| u64::try_from(moment.as_millis()).ok());
    ms.map(Timestamp::from_ms).ok_or_else(|| {
        Failure::usage("--expires-in is too far away").next("name a shorter time, such as 365d")
    })
}
