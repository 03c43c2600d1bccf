//! `credential`: the credentials of a linked account's default app.

use serde_json::json;
use strongroom::{CredentialKey, LinkedAccountId, Org};

use crate::args::{CredentialCommand, Misplaced};
use crate::commands::list::all_pages;
use crate::failure::Failure;
use crate::input;
use crate::output::{Output, time};

pub(crate) async fn run(org: &Org, command: CredentialCommand, output: &Output) -> Result<(), Failure> {
    match command {
        CredentialCommand::Set { key, account, misplaced } => {
            set(org, &key, account, &misplaced, output).await
        }
        CredentialCommand::List { account } => list(org, account, output).await,
        CredentialCommand::Delete { key, account } => delete(org, &key, account, output).await,
    }
}

async fn set(
    org: &Org,
    key: &CredentialKey,
    account: LinkedAccountId,
    misplaced: &Misplaced,
    output: &Output,
) -> Result<(), Failure> {
    let value = input::value(&format!("Value of {key}: "), misplaced, output)?;
    let account = org.account(account);
    let action = account.upsert_credential(key.as_str(), value).await?.as_str();
    let json = json!({ "action": action, "key": key.as_str(), "linked_account_id": account.id().as_str() });
    output.done(&format!("{action} credential {key} of {}", account.id()), &json)
}

async fn list(org: &Org, account: LinkedAccountId, output: &Output) -> Result<(), Failure> {
    let account = org.account(account);
    let all = all_pages(async |page| account.credentials(page).await).await?;
    let rows =
        all.iter().map(|info| [info.key_name.to_string(), time(info.created_at), time(info.updated_at)]);
    let json = all.iter().map(|info| {
        json!({
            "id": info.id.to_string(),
            "key": info.key_name.as_str(),
            "created_at": time(info.created_at),
            "updated_at": time(info.updated_at),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["KEY", "CREATED", "UPDATED"], rows, &json)
}

async fn delete(
    org: &Org,
    key: &CredentialKey,
    account: LinkedAccountId,
    output: &Output,
) -> Result<(), Failure> {
    let account = org.account(account);
    if !account.delete_credential(key.as_str()).await? {
        return Err(Failure::not_found(format!("{} has no credential {key}", account.id()))
            .next("`strongroom credential list --account ID` shows which it has"));
    }
    let json = json!({ "key": key.as_str(), "linked_account_id": account.id().as_str(), "deleted": true });
    output.done(&format!("deleted credential {key} of {}", account.id()), &json)
}
