//! `api-key`: what a client of the server shows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use strongroom::{DocumentId, Org, PageRequest, Timestamp};
use strongroom_http::{ApiKeyInfo, ApiKeys, NewApiKey};

use crate::args::ApiKeyCommand;
use crate::failure::Failure;
use crate::output::{Output, time};

pub(crate) async fn run(org: &Org, command: ApiKeyCommand, output: &Output) -> Result<(), Failure> {
    match command {
        ApiKeyCommand::Create { name, expires_in } => create(org, name, expires_in, output).await,
        ApiKeyCommand::List => list(org, output).await,
        ApiKeyCommand::Revoke { id } => revoke(org, &id, output).await,
    }
}

/// Prints the key alone on standard output, so that it can be piped to where it is kept.
async fn create(
    org: &Org,
    name: String,
    expires_in: Option<Duration>,
    output: &Output,
) -> Result<(), Failure> {
    let mut key = NewApiKey::named(name);
    if let Some(life) = expires_in {
        key = key.expires_at(after(life)?);
    }
    let created = ApiKeys::of(org)?.create(key).await?;
    let info = &created.info;
    if output.is_json() {
        let json = json!({
            "id": info.id.to_string(),
            "name": info.name,
            "api_key": created.key.expose(),
            "environment": org.environment().as_str(),
            "expires_at": info.expires_at.map(time),
        });
        return output.json(&json);
    }
    output.note(&format!("API key {} of environment {}; it is not shown again", info.id, org.environment()));
    output.text(&format!("{}\n", created.key.expose()))
}

async fn list(org: &Org, output: &Output) -> Result<(), Failure> {
    let all = all_keys(org).await?;
    let rows = all.iter().map(|key| {
        let expires = key.expires_at.map_or_else(String::new, time);
        [key.id.to_string(), key.name.clone(), time(key.created_at), expires]
    });
    let json = all.iter().map(|key| {
        json!({
            "id": key.id.to_string(),
            "name": key.name,
            "created_at": time(key.created_at),
            "expires_at": key.expires_at.map(time),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["ID", "NAME", "CREATED", "EXPIRES"], rows, &json)
}

async fn revoke(org: &Org, id: &DocumentId, output: &Output) -> Result<(), Failure> {
    if !ApiKeys::of(org)?.revoke(id).await? {
        return Err(Failure::not_found(format!("there is no API key {id}"))
            .next("`strongroom api-key list` shows which there are"));
    }
    output.done(&format!("revoked API key {id}"), &json!({ "id": id.to_string(), "revoked": true }))
}

async fn all_keys(org: &Org) -> Result<Vec<ApiKeyInfo>, Failure> {
    let keys = ApiKeys::of(org)?;
    let mut all = Vec::new();
    let mut page = keys.list(PageRequest::default()).await?;
    loop {
        all.append(&mut page.items);
        match page.next {
            Some(cursor) => page = keys.list(PageRequest::default().after(cursor)).await?,
            None => return Ok(all),
        }
    }
}

fn after(life: Duration) -> Result<Timestamp, Failure> {
    let moment =
        SystemTime::now().checked_add(life).and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    let ms = moment.and_then(|moment| u64::try_from(moment.as_millis()).ok());
    ms.map(Timestamp::from_ms).ok_or_else(|| Failure::usage("that is too far away"))
}
