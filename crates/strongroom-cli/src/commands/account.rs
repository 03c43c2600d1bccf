//! `account`: linked accounts.

use serde_json::json;
use strongroom::{Error, LinkedAccountId, Org};

use crate::args::AccountCommand;
use crate::commands::list::all_pages;
use crate::failure::Failure;
use crate::output::{Output, time};

pub(crate) async fn run(org: &Org, command: AccountCommand, output: &Output) -> Result<(), Failure> {
    match command {
        AccountCommand::Create { id, name, default_app } => create(org, id, name, default_app, output).await,
        AccountCommand::List => list(org, output).await,
        AccountCommand::Delete { id } => delete(org, &id, output).await,
    }
}

async fn create(
    org: &Org,
    id: LinkedAccountId,
    name: Option<String>,
    default_app: bool,
    output: &Output,
) -> Result<(), Failure> {
    let mut account = org.create_account(id.clone());
    if let Some(name) = name {
        account = account.name(name);
    }
    if default_app {
        account = account.with_default_app();
    }
    account.await.map_err(|error| match error {
        Error::AccountExists(id) => Failure::invalid(format!("linked account {id} exists"))
            .next("`strongroom account list` shows which there are"),
        error => error.into(),
    })?;
    let json = json!({ "linked_account_id": id.as_str(), "default_app": default_app });
    output.done(&format!("created linked account {id}"), &json)
}

async fn list(org: &Org, output: &Output) -> Result<(), Failure> {
    let all = all_pages(async |page| org.linked_accounts(page).await).await?;
    let rows = all.iter().map(|account| {
        let name = account.name.clone().unwrap_or_default();
        [account.account_id.to_string(), name, time(account.created_at), time(account.updated_at)]
    });
    let json = all.iter().map(|account| {
        json!({
            "id": account.id.to_string(),
            "linked_account_id": account.account_id.as_str(),
            "name": account.name,
            "created_at": time(account.created_at),
            "updated_at": time(account.updated_at),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["ID", "NAME", "CREATED", "UPDATED"], rows, &json)
}

async fn delete(org: &Org, id: &LinkedAccountId, output: &Output) -> Result<(), Failure> {
    org.delete_account(id).await?;
    let json = json!({ "linked_account_id": id.as_str(), "deleted": true });
    output.done(&format!("deleted linked account {id} with everything of its own"), &json)
}
