//! Linked accounts of a server, and their credentials.

use serde_json::json;

use super::client::{Call, Client};
use super::variables::{cell, given, text};
use crate::args::{AccountCommand, CredentialCommand};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

pub(super) fn credential(
    client: &Client,
    command: CredentialCommand,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        CredentialCommand::Set { key, account, misplaced } => {
            let value = input::value(&format!("Value of {key}: "), &misplaced, output)?;
            let body = json!({ "value": value.expose(), "linked_account_id": account.as_str() });
            let answer = client.put(&[&CREDENTIALS[..], &[key.as_str()]].concat(), &body)?;
            let action = text(&answer, "action");
            let json =
                json!({ "action": action, "key": key.as_str(), "linked_account_id": account.as_str() });
            output.done(&format!("{action} credential {key} of {account}"), &json)
        }
        CredentialCommand::List { account } => {
            let query = [("linked_account_id", account.as_str())];
            let all = client.pages(Call { path: &CREDENTIALS, query: &query })?;
            let rows =
                all.iter().map(|doc| [cell(doc, "key_name"), cell(doc, "createdAt"), cell(doc, "updatedAt")]);
            let json = all.iter().map(|doc| {
                json!({
                    "id": null,
                    "key": doc.get("key_name"),
                    "created_at": doc.get("createdAt"),
                    "updated_at": doc.get("updatedAt"),
                })
            });
            let json: Vec<_> = json.collect();
            output.list(["KEY", "CREATED", "UPDATED"], rows, &json)
        }
        CredentialCommand::Delete { key, account } => {
            let query = [("linked_account_id", account.as_str())];
            let path = [&CREDENTIALS[..], &[key.as_str()]].concat();
            client.delete(Call { path: &path, query: &query })?;
            let json = json!({ "key": key.as_str(), "linked_account_id": account.as_str(), "deleted": true });
            output.done(&format!("deleted credential {key} of {account}"), &json)
        }
    }
}

pub(super) fn account(client: &Client, command: AccountCommand, output: &Output) -> Result<(), Failure> {
    match command {
        AccountCommand::Create { id, name, default_app } => {
            let mut body = json!({ "linked_account_id": id.as_str() });
            if let Some(object) = body.as_object_mut() {
                object.extend(name.map(|name| ("name".to_owned(), name.into())));
                object
                    .extend(default_app.then(|| ("your_app".to_owned(), json!({ "auth_credentials": {} }))));
            }
            client.post(&["linked-account"], &body)?;
            let json = json!({ "linked_account_id": id.as_str(), "default_app": default_app });
            output.done(&format!("created linked account {id}"), &json)
        }
        AccountCommand::List => {
            let all = client.pages(Call { path: &["linked-account"], query: &[] })?;
            let rows = all.iter().map(|doc| [cell(doc, "account_id"), cell(doc, "name")]);
            let json = all.iter().map(|doc| {
                json!({
                    "id": doc.get("_id"),
                    "linked_account_id": doc.get("account_id"),
                    "name": given(doc, "name"),
                    "created_at": null,
                    "updated_at": null,
                })
            });
            let json: Vec<_> = json.collect();
            output.list(["ID", "NAME"], rows, &json)
        }
        AccountCommand::Delete { id } => {
            client.delete(Call { path: &["linked-account", id.as_str()], query: &[] })?;
            let json = json!({ "linked_account_id": id.as_str(), "deleted": true });
            output.done(&format!("deleted linked account {id} with everything of its own"), &json)
        }
    }
}

const CREDENTIALS: [&str; 3] = ["linked-account", "default-app", "auth-credentials"];
