//! `audit`: who changed what.

use std::time::UNIX_EPOCH;

use serde::Serialize;
use strongroom::{
    AuditChange, AuditEvent, AuditFilter, IntegrationId, LinkedAccountId, Org, PageRequest, Timestamp, Vault,
    WorkflowId,
};
use strongroom_http::control::{self, SettingsChange, VaultSettings};

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{Output, time};
use crate::pages;
use crate::session::Session;

/// `audit` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Note every write to the vault from now on, whoever makes it
    #[arg(long, conflicts_with_all = ["off", "since", "actor"])]
    on: bool,
    /// Note no more writes; what was noted stays
    #[arg(long, conflicts_with_all = ["since", "actor"])]
    off: bool,
    /// Only what was written at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only what was written on behalf of this actor
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Serialize)]
struct SwitchView {
    audit: bool,
}

#[derive(Serialize)]
struct EventView<'a> {
    id: String,
    at: String,
    actor: Option<&'a str>,
    request_id: Option<&'a str>,
    changes: &'a [AuditChange],
}

impl Audit {
    /// Whether it leaves the store as it is.
    pub(crate) fn only_reads(&self) -> bool {
        !self.on && !self.off
    }

    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        if !self.only_reads() {
            return switch(&session.vault, self.on, output).await;
        }
        if !session.vault.settings().await?.audit {
            output.note("this vault notes no writes: `strongroom audit --on` begins to");
        }
        let mut filter = AuditFilter::all();
        if let Some(since) = self.since {
            filter = filter.since(since);
        }
        if let Some(actor) = self.actor {
            filter = filter.actor(actor);
        }
        if output.is_json() {
            return lines(&session.org, &filter, output).await;
        }
        let events = pages::all(async |page| session.org.audit(&filter, page).await).await?;
        let row = |event: &AuditEvent, change: &AuditChange| {
            let actor = event.actor.clone().unwrap_or_else(|| "-".to_owned());
            [time(event.at), actor, change.kind.to_string(), words(Words::of(change))]
        };
        let rows = events.iter().flat_map(|event| event.changes.iter().map(|change| row(event, change)));
        output.list(["TIME", "ACTOR", "EVENT", "OF"], rows, &())
    }
}

impl Audit {
    /// Over the control calls, whose fields are named as those of the documented ones.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if !self.only_reads() {
            let change = SettingsChange { audit: Some(self.on), generations: None };
            let _: VaultSettings = client.control_patch(&["settings"], &change)?;
            return switched(self.on, output);
        }
        let since = self.since.map(time);
        let since = since.as_deref().map(|since| ("since", since));
        let actor = self.actor.as_deref().map(|actor| ("actor", actor));
        let query: Vec<_> = since.into_iter().chain(actor).collect();
        let events: Vec<control::AuditEvent> =
            client.control_items(Call { path: &["audit"], query: &query })?;
        if output.is_json() {
            return events.iter().try_for_each(|event| output.json_line(event));
        }
        let row = |event: &control::AuditEvent, change: &control::AuditChange| {
            let actor = event.actor.clone().unwrap_or_else(|| "-".to_owned());
            [event.at.clone(), actor, change.kind.clone(), words(Words::of_server(change))]
        };
        let rows = events.iter().flat_map(|event| event.changes.iter().map(|change| row(event, change)));
        output.list(["TIME", "ACTOR", "EVENT", "OF"], rows, &())
    }
}

async fn switch(vault: &Vault, audit: bool, output: &Output) -> Result<(), Failure> {
    vault.change_settings(|settings| settings.audit = audit).await?;
    switched(audit, output)
}

fn switched(audit: bool, output: &Output) -> Result<(), Failure> {
    let sentence = match audit {
        true => "every write is noted from now on",
        false => "writes are no longer noted; what was noted stays",
    };
    output.done(sentence, &SwitchView { audit })
}

/// One event a line, page by page, so that memory stays constant.
async fn lines(org: &Org, filter: &AuditFilter, output: &Output) -> Result<(), Failure> {
    let mut page = PageRequest::first(PageRequest::LIMIT_MAX);
    loop {
        let found = org.audit(filter, page).await?;
        for event in &found.items {
            output.json_line(&EventView {
                id: event.id.to_string(),
                at: time(event.at),
                actor: event.actor.as_deref(),
                request_id: event.request_id.as_deref(),
                changes: &event.changes,
            })?;
        }
        let Some(next) = found.next else { return Ok(()) };
        page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
}

/// What a change is named by.
struct Words<'a> {
    name: Option<&'a str>,
    integration: Option<&'a str>,
    account: Option<&'a str>,
    workflow: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn of(change: &'a AuditChange) -> Self {
        Self {
            name: change.name.as_deref(),
            integration: change.integration.as_ref().map(IntegrationId::as_str),
            account: change.linked_account.as_ref().map(LinkedAccountId::as_str),
            workflow: change.workflow.as_ref().map(WorkflowId::as_str),
        }
    }

    fn of_server(change: &'a control::AuditChange) -> Self {
        Self {
            name: change.name.as_deref(),
            integration: change.integration.as_deref(),
            account: change.linked_account_id.as_deref(),
            workflow: change.workflow_id.as_deref(),
        }
    }
}

/// What was changed, in words: the name, then what it belongs to.
fn words(Words { name, integration, account, workflow }: Words<'_>) -> String {
    let parts = [
        name.map(str::to_owned),
        integration.map(|id| format!("integration {id}")),
        account.map(|id| format!("account {id}")),
        workflow.map(|id| format!("workflow {id}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A moment as it is typed.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let since = humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    let since = since.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    u64::try_from(since.as_millis()).map(Timestamp::from_ms).map_err(|error| error.to_string())
}
