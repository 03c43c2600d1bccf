//! `audit`: who changed what.

use std::time::UNIX_EPOCH;

use serde::Serialize;
use strongroom::{AuditChange, AuditEvent, AuditFilter, Org, PageRequest, Timestamp, Vault};

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
            [time(event.at), actor, change.kind.to_string(), object(change)]
        };
        let rows = events.iter().flat_map(|event| event.changes.iter().map(|change| row(event, change)));
        output.list(["TIME", "ACTOR", "EVENT", "OF"], rows, &())
    }
}

async fn switch(vault: &Vault, audit: bool, output: &Output) -> Result<(), Failure> {
    vault.change_settings(|settings| settings.audit = audit).await?;
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

/// What was changed, in words: the name, then what it belongs to.
fn object(change: &AuditChange) -> String {
    let parts = [
        change.name.clone(),
        change.integration.as_ref().map(|id| format!("integration {id}")),
        change.linked_account.as_ref().map(|id| format!("account {id}")),
        change.workflow.as_ref().map(|id| format!("workflow {id}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A moment as it is typed.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let since = humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    let since = since.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    u64::try_from(since.as_millis()).map(Timestamp::from_ms).map_err(|error| error.to_string())
}
