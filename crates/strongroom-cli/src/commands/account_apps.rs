//! `account add-app`, `apps` and `remove-app`: the apps of a linked account, and the connections of each.

use serde::Serialize;
use serde::de::IgnoredAny;
use strongroom::{ConnectionId, Integration, IntegrationId, LinkedAccountId, Org};
use strongroom_http::control::{self, ConnectionDeletion};

use super::audit::refuse_left_out;
use super::credential::AppArgs;
use crate::client::{Call, Client, NoBody};
use crate::consent::{Consent, Deed};
use crate::failure::{Failure, word};
use crate::output::{Output, counted, time};
use crate::pages;
use crate::scope_args::refuse_blank_ends;
use crate::suggest;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddApp {
    /// The id of the linked account
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Apps {
    /// The id of the linked account
    id: LinkedAccountId,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoveApp {
    /// The id of the linked account
    id: LinkedAccountId,
    #[command(flatten)]
    app: AppArgs,
    /// Remove it also if only some rows of it are left
    #[arg(long)]
    purge: bool,
    /// Say what would be removed, what is left of connections that are gone included, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Added<'a> {
    linked_account_id: &'a str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
}

#[derive(Serialize)]
struct Removed<'a> {
    #[serde(flatten)]
    of: Added<'a>,
    /// Not on a dry run.
    deleted: bool,
    /// Those that go with it; omitted if they are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<ConnectionDeletion>>,
}

/// A connection in a list.
#[derive(Serialize)]
struct AppView {
    app: String,
    /// Omitted for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    created_at: String,
}

fn path_of<'a>(id: &'a LinkedAccountId, app: &'a AppArgs, integration: &'a IntegrationId) -> Vec<&'a str> {
    let mut path = vec!["accounts", id.as_str(), "connections", integration.as_str()];
    path.extend(app.connection.as_ref().map(ConnectionId::as_str));
    path
}

impl AddApp {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id, app } = &self;
        refuse_blank_ends(id)?;
        let (account, integration) = (org.account(id.clone()), app.integration());
        let added = match &app.connection {
            Some(connection) => account.add_connection(&integration, connection).await,
            None => account.add_integration(&integration).await,
        };
        match added {
            Ok(_) => self.done(output),
            Err(error) => Err(suggest::of_account(org, id, error).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let integration = self.app.integration();
        let path = path_of(&self.id, &self.app, &integration);
        let _: control::Connection = client.control_put(&path, &NoBody {})?;
        self.done(output)
    }

    fn done(&self, output: &Output) -> Result<(), Failure> {
        let Self { id, app } = self;
        let integration = app.integration();
        let view = Added::of(id, app, &integration);
        output.done(&format!("linked account {id} has the {}", app.shown()), &view)
    }
}

impl Apps {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id } = self;
        if org.linked_account(&id).await?.is_none() {
            return Err(suggest::no_account(org, &id).await);
        }
        let account = org.account(id);
        let (apps, unreadable) = pages::readable_apps(&account).await?;
        show((apps.iter().map(AppView::of).collect(), unreadable), output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let path = ["accounts", self.id.as_str(), "connections"];
        let (apps, unreadable): (Vec<control::Connection>, _) =
            client.control_list(Call { path: &path, query: &[] })?;
        show((apps.into_iter().map(AppView::of_control).collect(), unreadable), output)
    }
}

/// Those that can be read; then the command fails if there are others.
fn show((apps, unreadable): (Vec<AppView>, Vec<String>), output: &Output) -> Result<(), Failure> {
    let rows = apps
        .iter()
        .map(|one| [one.app.clone(), one.connection.clone().unwrap_or_default(), one.created_at.clone()]);
    output.list(["APP", "CONNECTION", "CREATED"], rows, &apps)?;
    refuse_left_out(&unreadable, "app", REMOVES, output)
}

const REMOVES: &str = "`strongroom account remove-app ID` with its --app deletes one that cannot be read with its \
                       credentials";

impl<'a> Added<'a> {
    fn of(id: &'a LinkedAccountId, app: &'a AppArgs, integration: &'a IntegrationId) -> Self {
        let connection = app.connection.as_ref().map(ConnectionId::as_str);
        Self { linked_account_id: id.as_str(), app: integration.as_str(), connection }
    }
}

impl AppView {
    fn of(of: &Integration) -> Self {
        Self {
            app: of.integration.to_string(),
            connection: of.connection.as_ref().map(ToString::to_string),
            created_at: time(of.created_at),
        }
    }

    fn of_control(of: control::Connection) -> Self {
        Self { app: of.integration, connection: of.connection, created_at: of.created_at }
    }
}

impl RemoveApp {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let Self { id, app, .. } = &self;
        let (account, integration) = (org.account(id.clone()), app.integration());
        let found = pages::all(async |page| account.each_integration(page).await).await?;
        let left = account.connections_left(&integration).await?;
        let all = ConnectionDeletion::all(&integration, found, left);
        let meant = match self.meant(Some(all)) {
            Err(_) if org.linked_account(id).await?.is_none() => {
                return Err(suggest::no_account(org, id).await);
            }
            meant => meant?,
        };
        if self.dry_run {
            return self.done(meant, output);
        }
        self.ask(meant.as_deref())?;
        let removed = match &app.connection {
            Some(connection) => account.delete_connection(&integration, connection).await,
            None => account.delete_integration(&integration).await,
        };
        match removed {
            Ok(()) => self.done(meant, output),
            Err(error) => Err(suggest::of_account(org, id, error).await),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let integration = self.app.integration();
        let path = ["accounts", self.id.as_str(), "connections", integration.as_str()];
        let plan: control::IntegrationDeletion =
            client.control_delete(Call { path: &path, query: &[("dry_run", "true")] })?;
        let meant = self.meant(plan.connections)?;
        if self.dry_run {
            return self.done(meant, output);
        }
        self.ask(meant.as_deref())?;
        let path = path_of(&self.id, &self.app, &integration);
        let IgnoredAny = client.control_delete(Call { path: &path, query: &[] })?;
        self.done(meant, output)
    }

    /// The connections to remove; `None` if they are unknown, since a key that may write need not be allowed to read.
    /// Fails if there are none, or only what is left of some and that is not to be purged.
    fn meant(
        &self,
        all: Option<Vec<ConnectionDeletion>>,
    ) -> Result<Option<Vec<ConnectionDeletion>>, Failure> {
        let Some(mut meant) = all else { return Ok(None) };
        let named = self.app.connection.as_ref().map(ConnectionId::as_str);
        meant.retain(|one| named.is_none() || one.connection.as_deref() == named);
        if meant.iter().all(|one| one.left && !self.purge) { Err(self.absent()) } else { Ok(Some(meant)) }
    }

    /// Asks only about what exists.
    fn ask(&self, meant: Option<&[ConnectionDeletion]>) -> Result<(), Failure> {
        let seen = meant.unwrap_or_default().iter().map(|one| one.created_at.as_deref().unwrap_or_default());
        let seen = seen.collect::<Vec<_>>().join(" ");
        self.consent.to(Deed::to(format!("remove {}", self.deed(meant)), seen))
    }

    /// What is removed.
    fn deed(&self, meant: Option<&[ConnectionDeletion]>) -> String {
        let Self { id, app, .. } = self;
        let mut and_all = String::new();
        match (&app.connection, meant) {
            (Some(_), _) => {}
            (None, None) => and_all.push_str(", all of its connections"),
            (None, Some(meant)) => {
                let (left, there): (Vec<_>, Vec<_>) = meant.iter().partition(|one| one.left);
                if !there.is_empty() {
                    and_all.push_str(&format!(", its {}", counted(there.len(), "connection")));
                }
                for one in left {
                    let name = one
                        .connection
                        .as_deref()
                        .map_or("the default connection".into(), |name| format!("connection {}", word(name)));
                    and_all.push_str(&format!(", what is left of {name}"));
                }
            }
        }
        format!("the {} of {id}{and_all} and the credentials", app.shown())
    }

    fn absent(&self) -> Failure {
        let Self { id, app, .. } = self;
        Failure::not_found(format!("linked account {id} does not have the {}", app.shown())).next(format!(
            "`strongroom account apps {}` lists what is there; --purge deletes what may be left of one that is gone",
            word(id.as_str())
        ))
    }

    fn done(&self, connections: Option<Vec<ConnectionDeletion>>, output: &Output) -> Result<(), Failure> {
        let Self { id, app, dry_run, .. } = self;
        let integration = app.integration();
        let text = match dry_run {
            true => format!("would remove {}; nothing was changed", self.deed(connections.as_deref())),
            false => format!("removed the {} of linked account {id}", app.shown()),
        };
        let view = Removed { of: Added::of(id, app, &integration), deleted: !dry_run, connections };
        output.done(&text, &view)
    }
}
