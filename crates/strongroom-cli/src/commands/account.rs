//! `account`: linked accounts.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{Clock as _, Error, ErrorKind, LinkedAccount, LinkedAccountId, Org, SystemClock, Timestamp};
use strongroom_http::control::{self, OpenSessions};

use super::account_apps::{AddApp, Apps, RemoveApp};
use super::audit::refuse_left_out;
use super::shred::LEFT;
use crate::client::docs::Account;
use crate::client::{Call, Client, NoBody};
use crate::consent::{Consent, Deed};
use crate::failure::{Exit, Failure, word};
use crate::holdings::Holdings;
use crate::output::{Output, counted, time, unless_unknown};
use crate::pages;
use crate::scope_args::refuse_blank_ends;
use crate::suggest;

/// `account` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum AccountCommand {
    /// Register a linked account
    Create(Create),
    /// Add an app to a linked account: the default one, which credentials need, or another; or another connection of
    /// one
    AddApp(AddApp),
    /// List the apps of a linked account, and the connections of each
    Apps(Apps),
    /// Remove an app from a linked account, or a connection other than its default one, with the credentials
    RemoveApp(RemoveApp),
    /// List the registered linked accounts
    List,
    /// Delete a linked account with its values, credentials and keys
    Delete(Delete),
    /// List the sessions of a linked account, whose tokens a server accepts
    Sessions(OfAccount),
    /// End the sessions of a linked account, or of all: their tokens are refused from then on
    EndSessions(EndSessions),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OfAccount {
    /// The id of the linked account
    id: LinkedAccountId,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EndSessions {
    /// The id of the linked account
    ///
    /// It need not be registered: what is left of its sessions is ended first, since a damaged store may hide the
    /// account. Only if there was nothing to end, the command fails with 3.
    #[arg(required_unless_present = "all")]
    id: Option<LinkedAccountId>,
    /// Those of all accounts of the org in this environment
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Also replace the key that signs their tokens, even one that cannot be read
    #[arg(long, requires = "all", conflicts_with = "id")]
    new_signing_key: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Create {
    /// The id of the linked account
    id: LinkedAccountId,
    /// A display name
    #[arg(long)]
    name: Option<String>,
    /// Add the default app, which credentials need
    #[arg(long)]
    default_app: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Delete {
    /// The id of the linked account
    id: LinkedAccountId,
    /// Delete it also if it cannot be read, or if only some rows of it are left
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Created<'a> {
    linked_account_id: &'a str,
    default_app: bool,
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
    new_signing_key: bool,
    /// Whether a list of the account's sessions that could not be read was replaced or deleted.
    list_cleared: bool,
}

#[derive(Serialize)]
struct Deleted<'a> {
    linked_account_id: &'a str,
    deleted: bool,
}

/// An account in a list.
#[derive(Serialize)]
struct AccountView {
    id: String,
    linked_account_id: String,
    name: Option<String>,
    /// A server returns neither time.
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    linked_account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    your_app: Option<DefaultApp>,
}

#[derive(Serialize)]
struct DefaultApp {
    auth_credentials: NoCredentials,
}

/// An empty object.
#[derive(Serialize)]
struct NoCredentials {}

impl AccountCommand {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(org, output).await,
            Self::AddApp(add) => add.run(org, output).await,
            Self::Apps(apps) => apps.run(org, output).await,
            Self::RemoveApp(remove) => remove.run(org, output).await,
            Self::List => {
                let (accounts, unreadable) = pages::readable_accounts(org).await?;
                show((accounts.into_iter().map(AccountView::of).collect(), unreadable), output)
            }
            Self::Delete(delete) => {
                if let (false, Err(error)) = (delete.purge, org.linked_account(&delete.id).await) {
                    return Err(unless_purged(error));
                }
                let known = Holdings::of(org, &delete.id).await;
                let (holdings, seen) = match &known {
                    Ok(holdings) => (holdings.to_string(), holdings.seen.as_str()),
                    // Its row may be lost, and what is left of it be there.
                    Err(failure) if delete.purge && failure.exit == Exit::NotFound => (LEFT.to_owned(), ""),
                    Err(_) => return known.map(drop),
                };
                delete
                    .consent
                    .to(Deed::to(format!("delete linked account {}, {holdings}", delete.id), seen))?;
                match (OpenSessions::of(org)?.delete_account(&delete.id).await, known) {
                    (Err(Error::AccountNotFound(_)), Err(absent)) => return Err(absent),
                    (deleted, _) => deleted?,
                }
                delete.done(output)
            }
            Self::Sessions(OfAccount { id }) => {
                if org.linked_account(&id).await?.is_none() {
                    return Err(suggest::no_account(org, &id).await);
                }
                let now = Timestamp::from_ms(SystemClock.now_ms());
                show_sessions(&id, &OpenSessions::of(org)?.of_account(&id, now).await?, output)
            }
            Self::EndSessions(end) => end.run(org, output).await,
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.on_server(client, output),
            Self::AddApp(add) => add.on_server(client, output),
            Self::Apps(apps) => apps.on_server(client, output),
            Self::RemoveApp(remove) => remove.on_server(client, output),
            Self::List => {
                let by_control = |client: &Client| {
                    let (all, unreadable): (Vec<control::AccountView>, _) =
                        client.control_list(Call { path: &["accounts"], query: &[] })?;
                    Ok((all.into_iter().map(AccountView::of_control).collect(), unreadable))
                };
                let by_document = |client: &Client| {
                    let docs: Vec<Account> = client.pages(Call { path: &["linked-account"], query: &[] })?;
                    Ok((docs.into_iter().map(AccountView::of_doc).collect(), Vec::new()))
                };
                show(client.either(by_control, by_document)?, output)
            }
            Self::Delete(delete) => {
                let id = delete.id.as_str();
                let holdings = delete.holdings(client)?;
                let deed = format!("delete linked account {id}, {holdings}");
                delete.consent.to(Deed::to(deed, holdings.seen))?;
                let query = [("purge", delete.purges())];
                let by_control = |client: &Client| {
                    let deleted = client.control_delete(Call { path: &["accounts", id], query: &query });
                    deleted.map(|IgnoredAny| ())
                };
                let by_document =
                    |client: &Client| client.delete(Call { path: &["linked-account", id], query: &[] });
                client.either(by_control, by_document)?;
                delete.done(output)
            }
            Self::Sessions(OfAccount { id }) => {
                let path = ["accounts", id.as_str(), "sessions"];
                let sessions = client.control_get(Call { path: &path, query: &[] })?;
                show_sessions(&id, &sessions, output)
            }
            Self::EndSessions(end) => end.on_server(client, output),
        }
    }
}

/// Those that can be read; then the command fails if there are others.
fn show_sessions(
    id: &LinkedAccountId,
    sessions: &control::Page<control::AccountSession>,
    output: &Output,
) -> Result<(), Failure> {
    let control::Page { items, unreadable, .. } = sessions;
    let rows = items.iter().map(|one| [one.id.clone(), one.issued_at.clone(), one.expires_at.clone()]);
    output.list(["ID", "ISSUED", "EXPIRES"], rows, &items)?;
    let id = word(id.as_str());
    let step = format!("`strongroom account end-sessions {id}` ends all of them and lists new ones again");
    refuse_left_out(unreadable, "session", &step, output)
}

/// What cannot be read is deleted only by who says so.
fn unless_purged(error: Error) -> Failure {
    let is_damaged = error.kind() == ErrorKind::Damaged;
    let failure = Failure::from(error);
    if is_damaged { failure.next(format!("nothing was deleted; {PURGES}")) } else { failure }
}

impl EndSessions {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        self.ask()?;
        let sessions = OpenSessions::of(org)?;
        let ended = match &self.id {
            // End them first, since a store may hide the account.
            Some(id) => {
                let ended = sessions.end_of(id).await?;
                if ended.is_nothing() && org.linked_account(id).await?.is_none() {
                    return Err(suggest::no_account(org, id).await);
                }
                return self.done(ended.ended, ended.list_cleared, output);
            }
            None if self.new_signing_key => sessions.replace_signing_key().await?,
            None => sessions.end_all().await?,
        };
        self.done(ended, false, output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        self.ask()?;
        let done: control::Revoked = match &self.id {
            Some(id) => client.control_post(&["accounts", id.as_str(), "revoke-sessions"], &NoBody {})?,
            None => {
                let body = control::RevokeSessions { new_signing_key: self.new_signing_key };
                client.control_post(&["revoke-sessions"], &body)?
            }
        };
        self.done(done.revoked, done.list_cleared, output)
    }

    /// A key cannot be brought back.
    fn ask(&self) -> Result<(), Failure> {
        if !self.new_signing_key {
            return Ok(());
        }
        self.consent
            .to("end the sessions of all linked accounts, and replace the key that signs their tokens")
    }

    fn done(&self, ended: usize, list_cleared: bool, output: &Output) -> Result<(), Failure> {
        let and = match (self.new_signing_key, list_cleared) {
            (true, _) => "; the key that signs tokens is a new one",
            (false, true) => "; a list of them that could not be read is cleared",
            (false, false) => "",
        };
        let view = Ended { ended, new_signing_key: self.new_signing_key, list_cleared };
        output.done(&format!("{} ended{and}", counted(ended, "session")), &view)
    }
}

impl Create {
    async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        refuse_blank_ends(&self.id)?;
        let mut account = org.create_account(self.id.clone());
        if let Some(name) = &self.name {
            account = account.name(name.clone());
        }
        if self.default_app {
            account = account.with_default_app();
        }
        account.await.map_err(|error| match error {
            Error::AccountExists(id) => Failure::invalid(format!("linked account {id} exists already"))
                .next("`strongroom account list` lists the accounts"),
            error => error.into(),
        })?;
        self.done(output)
    }

    fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let body = NewAccount {
            linked_account_id: self.id.as_str(),
            name: self.name.as_deref(),
            your_app: self.default_app.then_some(DefaultApp { auth_credentials: NoCredentials {} }),
        };
        let by_control = |client: &Client| {
            let body = control::NewAccount {
                linked_account_id: self.id.to_string(),
                name: self.name.clone(),
                default_app: self.default_app,
            };
            client.control_post::<IgnoredAny>(&["accounts"], &body)
        };
        client.either(by_control, |client| client.post::<IgnoredAny>(&["linked-account"], &body))?;
        self.done(output)
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, default_app, .. } = self;
        let view = Created { linked_account_id: id.as_str(), default_app: *default_app };
        output.done(&format!("created linked account {id}"), &view)
    }
}

impl Delete {
    /// What a server would delete. Fails if there is no such account.
    fn holdings(&self, client: &Client) -> Result<Holdings, Failure> {
        let id = self.id.as_str();
        let by_control = |client: &Client| {
            let query = [("dry_run", "true"), ("purge", self.purges())];
            let plan = client.control_delete(Call { path: &["accounts", id], query: &query });
            let plan: control::Deletion = plan.map_err(|refused| refused.if_damaged(PURGES))?;
            let count = |count: usize| u64::try_from(count).ok();
            // A key that may delete need not be allowed to read.
            let account =
                client.control_get::<control::AccountView>(Call { path: &["accounts", id], query: &[] });
            let seen = account.map(|account| account.id).unwrap_or_default();
            Ok(Holdings { values: count(plan.values), credentials: count(plan.credentials), seen })
        };
        let by_document = |client: &Client| {
            let account: Account = client.get(Call { path: &["linked-account", id], query: &[] })?;
            Ok(Holdings { values: None, credentials: None, seen: account.id })
        };
        client.either(by_control, by_document)
    }

    fn purges(&self) -> &'static str {
        if self.purge { "true" } else { "false" }
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let view = Deleted { linked_account_id: self.id.as_str(), deleted: true };
        output
            .done(&format!("deleted linked account {} with its values, credentials and keys", self.id), &view)
    }
}

impl AccountView {
    fn of(account: LinkedAccount) -> Self {
        Self {
            id: account.id.to_string(),
            linked_account_id: account.account_id.to_string(),
            name: account.name,
            created_at: Some(time(account.created_at)),
            updated_at: Some(time(account.updated_at)),
        }
    }

    fn of_control(account: control::AccountView) -> Self {
        Self {
            id: account.id,
            linked_account_id: account.linked_account_id,
            name: account.name,
            created_at: Some(account.created_at),
            updated_at: Some(account.updated_at),
        }
    }

    fn of_doc(doc: Account) -> Self {
        Self {
            id: doc.id,
            linked_account_id: doc.account_id,
            name: Some(doc.name).filter(|name| !name.is_empty()),
            created_at: None,
            updated_at: None,
        }
    }
}

/// Those that can be read; then the command fails if there are others.
fn show((mut views, unreadable): (Vec<AccountView>, Vec<String>), output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.linked_account_id.cmp(&other.linked_account_id));
    let rows = views.iter().map(|view| {
        [
            view.linked_account_id.clone(),
            view.name.clone().unwrap_or_default(),
            unless_unknown(view.created_at.clone()),
            unless_unknown(view.updated_at.clone()),
        ]
    });
    output.list(["ID", "NAME", "CREATED", "UPDATED"], rows, &views)?;
    refuse_left_out(&unreadable, "linked account", PURGES, output)
}

const PURGES: &str =
    "`strongroom account delete ID --purge` deletes one that cannot be read with all that it has";
