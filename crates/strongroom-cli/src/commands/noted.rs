//! What the audit says of a place since a time, and what it lacks.

use std::collections::{HashMap, HashSet};
use std::io;

use strongroom::{AuditEvent, AuditFilter, DefinitionId, EventKind, Org, Scope, Timestamp};

use super::audit::SWITCHES;
use crate::failure::Failure;
use crate::pages;
use crate::session::Session;

/// What the audit says about a place since a time: whether each written value and definition was there before.
#[derive(Default)]
pub(super) struct Noted {
    values: HashMap<DefinitionId, bool>,
    pub(super) definitions: HashMap<DefinitionId, (String, bool)>,
    /// Definitions that were deleted with all their values, which have no events of their own.
    deleted: HashSet<DefinitionId>,
    /// Whether the place was deleted, with all its values.
    place_deleted: bool,
    /// Whether the audit was turned on or off, so that it lacks what was written while it was off.
    pub(super) was_switched: bool,
    /// Why each unreadable event cannot be read.
    pub(super) unreadable: Vec<String>,
    /// Where events are missing.
    pub(super) gaps: Vec<String>,
}

impl Noted {
    /// Whether there was a value, or may have been one that was deleted with its definition or account, if it was
    /// allowed.
    pub(super) fn had_value(&self, id: DefinitionId, was_allowed: bool) -> bool {
        let went = was_allowed && (self.place_deleted || self.deleted.contains(&id));
        went || self.values.get(&id) == Some(&true)
    }
}

pub(super) async fn noted_since(org: &Org, scope: &Scope, at: Timestamp) -> Result<Noted, Failure> {
    let since = AuditFilter::all().since(Timestamp::from_ms(at.as_ms().saturating_add(1)));
    let (account, workflow) = match scope {
        Scope::Org => (None, None),
        Scope::LinkedAccount(id) => (Some(id), None),
        Scope::Workflow(id) => (None, Some(id)),
    };
    let events = pages::all(async |page| org.audit(&since, page).await).await?;
    let mut noted = Noted { gaps: gaps_among(org, &events).await?, ..Noted::default() };
    for event in events {
        noted.unreadable.extend(event.unreadable);
        for change in event.changes {
            if change.kind == EventKind::VaultOperated
                && change.name.as_deref().is_some_and(|what| SWITCHES.contains(&what))
            {
                noted.was_switched = true;
            }
            if change.kind == EventKind::AccountDeleted && change.linked_account.as_ref() == account {
                noted.place_deleted = true;
            }
            let Some(id) = change.definition_id else { continue };
            if change.kind == EventKind::DefinitionDeleted {
                noted.deleted.insert(id);
            }
            // The first write since then shows whether there was something before.
            let was_there = change.before.is_some();
            match change.kind {
                EventKind::ValueSet | EventKind::ValueDeleted
                    if (change.linked_account.as_ref(), change.workflow.as_ref()) == (account, workflow) =>
                {
                    noted.values.entry(id).or_insert(was_there);
                }
                EventKind::DefinitionCreated
                | EventKind::DefinitionUpdated
                | EventKind::DefinitionDeleted => {
                    noted.definitions.entry(id).or_insert((change.name.unwrap_or_default(), was_there));
                }
                _ => {}
            }
        }
    }
    Ok(noted)
}

/// Where events are missing before or after one of these. What is missing before them all is of an earlier time, unless
/// it is not known where: the end of a chain, or all of one.
async fn gaps_among(org: &Org, events: &[AuditEvent]) -> Result<Vec<String>, Failure> {
    let lacks = org.export_audit(&mut io::sink()).await?.lacks().to_vec();
    let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    let is_of_event = |lack: &String| lack.starts_with("the event ");
    let is_since = |lack: &String| !is_of_event(lack) || ids.iter().any(|id| lack.contains(id));
    Ok(lacks.into_iter().filter(is_since).collect())
}

/// Whether the audit, which is one for all orgs and environments, was turned on or off from another one.
pub(super) async fn was_switched_elsewhere(
    session: &Session,
    here: &Org,
    at: Timestamp,
) -> Result<bool, Failure> {
    let switches = AuditFilter::all().since(at).kind(EventKind::VaultOperated);
    for (id, environment) in pages::environments(&session.vault).await? {
        if (&id, &environment) == (here.id(), here.environment()) {
            continue;
        }
        let there = session.org_at(id, environment);
        // One whose keys are gone has no audit that says anything.
        let events = pages::all(async |page| there.audit(&switches, page).await).await.unwrap_or_default();
        let mut names = events.iter().flat_map(|event| &event.changes).filter_map(|one| one.name.as_deref());
        if names.any(|name| SWITCHES.contains(&name)) {
            return Ok(true);
        }
    }
    Ok(false)
}
