//! `orgs` and `environments`: what the vault holds.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom::{DefinitionFilter, OrgId};
use strongroom_http::control::Status;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{Output, unless_unknown, yes};
use crate::pages;
use crate::session::Session;

/// `orgs` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Orgs {}

/// `environments` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Environments {}

#[derive(Serialize)]
struct OrgView {
    org_id: String,
    environments: Vec<String>,
    /// Whether commands work on it unless another one is named.
    chosen: bool,
}

#[derive(Serialize)]
struct EnvironmentView {
    environment: String,
    /// `None` if it is unknown: for a server, and if its keys are destroyed or damaged.
    variables: Option<usize>,
    chosen: bool,
}

impl Orgs {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let chosen = *session.org.id();
        let mut orgs: BTreeMap<OrgId, Vec<String>> = BTreeMap::new();
        for (org, environment) in pages::environments(&session.vault).await? {
            orgs.entry(org).or_default().push(environment.to_string());
        }
        let view = |(org, environments): (OrgId, Vec<String>)| OrgView {
            org_id: org.to_string(),
            environments,
            chosen: org == chosen,
        };
        show_orgs(&orgs.into_iter().map(view).collect::<Vec<_>>(), output)
    }

    /// A key of a server belongs to one org.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Status { org_id, environment, .. } = of_key(client, output)?;
        show_orgs(&[OrgView { org_id, environments: vec![environment], chosen: true }], output)
    }
}

impl Environments {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let org = &session.org;
        let mut views = Vec::new();
        for environment in org.environments().await? {
            let at = session.org_at(*org.id(), environment.clone());
            let variables = at.count_definitions(&DefinitionFilter::all()).await.ok();
            let chosen = environment == *org.environment();
            views.push(EnvironmentView { environment: environment.to_string(), variables, chosen });
        }
        show_environments(&views, output)
    }

    /// A key of a server belongs to one environment.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Status { environment, .. } = of_key(client, output)?;
        show_environments(&[EnvironmentView { environment, variables: None, chosen: true }], output)
    }
}

fn of_key(client: &Client, output: &Output) -> Result<Status, Failure> {
    output.note("an API key belongs to one org and environment; the store itself lists the others");
    client.control_get(Call { path: &["status"], query: &[] })
}

fn show_orgs(views: &[OrgView], output: &Output) -> Result<(), Failure> {
    let rows = views.iter().map(|one| [one.org_id.clone(), one.environments.join(", "), yes(one.chosen)]);
    output.list(["ORG", "ENVIRONMENTS", "CHOSEN"], rows, &views)
}

fn show_environments(views: &[EnvironmentView], output: &Output) -> Result<(), Failure> {
    let rows = views.iter().map(|one| {
        let variables = unless_unknown(one.variables.map(|count| count.to_string()));
        [one.environment.clone(), variables, yes(one.chosen)]
    });
    output.list(["ENVIRONMENT", "VARIABLES", "CHOSEN"], rows, &views)
}
