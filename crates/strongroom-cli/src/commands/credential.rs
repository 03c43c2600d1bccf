//! `credential`: the credentials of a linked account's default app.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{CredentialInfo, CredentialKey, Error, LinkedAccountId, Org};
use strongroom_http::control;

use crate::client::docs::{Credential, CredentialSet};
use crate::client::{Call, Client};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::input::{self, ValueArgs};
use crate::output::{Output, time, unless_unknown};
use crate::pages;
use crate::suggest;
use crate::typo::closest;

/// `credential` as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum CredentialCommand {
    /// Set a credential to the exact bytes of standard input, or to the line typed at a hidden prompt
    Set(Set),
    /// List key names and times
    List(List),
    /// Delete a credential
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    key: CredentialKey,
    /// The linked account
    #[arg(long, value_name = "ID")]
    account: LinkedAccountId,
    #[command(flatten)]
    value: ValueArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The linked account
    #[arg(long, value_name = "ID")]
    account: LinkedAccountId,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    key: CredentialKey,
    /// The linked account
    #[arg(long, value_name = "ID")]
    account: LinkedAccountId,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Written<'a> {
    action: &'a str,
    key: &'a str,
    linked_account_id: &'a str,
}

#[derive(Serialize)]
struct Deleted<'a> {
    key: &'a str,
    linked_account_id: &'a str,
    deleted: bool,
}

/// A credential in a list, which does not show it.
#[derive(Serialize)]
struct CredentialView {
    /// A server does not return it.
    id: Option<String>,
    key: String,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct NewCredential<'a> {
    value: &'a str,
    linked_account_id: &'a str,
}

impl CredentialCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(org, output).await,
            Self::List(List { account }) => {
                let listed = org.account(account.clone());
                let all = match pages::all(async |page| listed.credentials(page).await).await {
                    Ok(all) => all,
                    Err(error) => return Err(suggest::of_account(org, &account, error).await),
                };
                show(all.iter().map(CredentialView::of).collect(), output)
            }
            Self::Delete(delete) => delete.run(org, output).await,
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.on_server(client, output),
            Self::List(List { account }) => {
                let by_control = |client: &Client| {
                    let path = control_path(&account);
                    let all: Vec<control::CredentialInfo> =
                        client.control_items(Call { path: &path, query: &[] })?;
                    Ok(all.into_iter().map(CredentialView::of_control).collect())
                };
                let by_document = |client: &Client| {
                    let query = [("linked_account_id", account.as_str())];
                    let docs: Vec<Credential> = client.pages(Call { path: &BASE, query: &query })?;
                    Ok(docs.into_iter().map(CredentialView::of_doc).collect())
                };
                show(client.either(by_control, by_document)?, output)
            }
            Self::Delete(delete) => delete.on_server(client, output),
        }
    }
}

impl Set {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let value = input::value(self.key.as_str(), &self.value, output)?;
        let account = org.account(self.account.clone());
        let action = match account.upsert_credential(self.key.as_str(), value).await {
            Ok(written) => written.action,
            Err(error) => return Err(suggest::of_account(org, &self.account, error).await),
        };
        self.done(action.as_str(), output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let value = input::value(self.key.as_str(), &self.value, output)?;
        let by_control = |client: &Client| {
            let path = [&control_path(&self.account)[..], &[self.key.as_str()]].concat();
            let body = control::NewCredential { value: value.expose().to_owned().into() };
            let set: control::Changed = client.control_put(&path, &body)?;
            Ok(set.done)
        };
        let by_document = |client: &Client| {
            let body = NewCredential { value: value.expose(), linked_account_id: self.account.as_str() };
            let set: CredentialSet = client.put(&[&BASE[..], &[self.key.as_str()]].concat(), &body)?;
            Ok(set.action)
        };
        self.done(&client.either(by_control, by_document)?, output)
    }

    fn done(&self, action: &str, output: &Output) -> Result<(), Failure> {
        let Self { key, account, .. } = self;
        let view = Written { action, key: key.as_str(), linked_account_id: account.as_str() };
        output.done(&format!("{action} credential {key} of {account}"), &view)
    }
}

impl Delete {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let account = org.account(self.account.clone());
        match pages::all(async |page| account.credentials(page).await).await {
            Ok(all) if !all.iter().any(|info| info.key_name == self.key) => {
                let known = all.iter().map(|info| info.key_name.as_str());
                return Err(self.absent().meant(closest(self.key.as_str(), known)));
            }
            Err(error @ (Error::AccountNotFound(_) | Error::IntegrationNotFound { .. })) => {
                return Err(suggest::of_account(org, &self.account, error).await);
            }
            // One that cannot be read can still be deleted.
            Ok(_) | Err(_) => {}
        }
        self.consent.to(&self.deed())?;
        if !account.delete_credential(self.key.as_str()).await? {
            return Err(self.absent());
        }
        self.done(output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        self.consent.to(&self.deed())?;
        let by_control = |client: &Client| {
            let path = [&control_path(&self.account)[..], &[self.key.as_str()]].concat();
            client.control_delete(Call { path: &path, query: &[] }).map(|IgnoredAny| ())
        };
        let by_document = |client: &Client| {
            let query = [("linked_account_id", self.account.as_str())];
            let path = [&BASE[..], &[self.key.as_str()]].concat();
            client.delete(Call { path: &path, query: &query })
        };
        client.either(by_control, by_document)?;
        self.done(output)
    }

    fn deed(&self) -> String {
        format!("delete credential {} of {}", self.key, self.account)
    }

    fn absent(&self) -> Failure {
        Failure::not_found(format!("{} has no credential {}", self.account, self.key))
            .next("`strongroom credential list --account ID` lists its credentials")
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { key, account, .. } = self;
        let view = Deleted { key: key.as_str(), linked_account_id: account.as_str(), deleted: true };
        output.done(&format!("deleted credential {key} of {account}"), &view)
    }
}

impl CredentialView {
    fn of(info: &CredentialInfo) -> Self {
        Self {
            id: Some(info.id.to_string()),
            key: info.key_name.to_string(),
            created_at: Some(time(info.created_at)),
            updated_at: Some(time(info.updated_at)),
        }
    }

    fn of_control(info: control::CredentialInfo) -> Self {
        let (created_at, updated_at) = (Some(info.created_at), Some(info.updated_at));
        Self { id: Some(info.id), key: info.key, created_at, updated_at }
    }

    fn of_doc(doc: Credential) -> Self {
        Self { id: None, key: doc.key_name, created_at: doc.created_at, updated_at: doc.updated_at }
    }
}

fn show(mut views: Vec<CredentialView>, output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.key.cmp(&other.key));
    let rows = views.iter().map(|view| {
        let [created, updated] =
            [&view.created_at, &view.updated_at].map(|time| unless_unknown(time.clone()));
        [view.key.clone(), created, updated]
    });
    output.list(["KEY", "CREATED", "UPDATED"], rows, &views)
}

/// The credentials of an account's default app, by a control call.
fn control_path(account: &LinkedAccountId) -> [&str; 4] {
    ["accounts", account.as_str(), "credentials", "default-app"]
}

const BASE: [&str; 3] = ["linked-account", "default-app", "auth-credentials"];
