//! Listing linked accounts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use strongroom::{
    AuditNote, DefinitionId, DefinitionRef, DocumentId, LinkedAccount, Org, PageRequest, Scope,
    StoredDefinition,
};

use super::all_integrations;
use super::wire::{AccountDoc, AccountsQuery};
use crate::caller::KeyCaller;
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::page::{PageNumber, Paged};
use crate::request::Query;
use crate::service::Service;

/// Lists linked accounts
///
/// Sorted by `_id`. `env_variable_name` and `env_variable_value` select the accounts whose own value of the variable is
/// that.
#[utoipa::path(
    get, context_path = BASE, path = "/linked-account", tag = "linked accounts", params(AccountsQuery),
    responses((status = 200, body = Paged<AccountDoc>), Failures), security(("api_key" = [])),
)]
pub(crate) async fn list(
    State(service): State<Service>,
    KeyCaller { org, .. }: KeyCaller,
    Query(query): Query<AccountsQuery>,
) -> Result<Json<Paged<AccountDoc>>, Failure> {
    let number = PageNumber::parse(query.page.as_deref(), query.limit.as_deref())?;
    let wanted = match (query.env_variable_name, query.env_variable_value) {
        (Some(name), Some(value)) => Some(Wanted::of(&org, &name, value).await?),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Failure::bad_request("env_variable_name and env_variable_value must stand together"));
        }
    };
    let (found, total) = walk(&org, wanted.as_ref(), number).await?;
    if let Some(wanted) = &wanted {
        // The variable may have been marked encrypted during the walk.
        let definition = refuse_encrypted(&org, wanted.definition.into()).await?;
        service.note_reads(&org, || vec![AuditNote::values_read(&definition)])?;
    }
    let mut docs = Vec::with_capacity(number.limit.min(found.len()));
    for known in number.cut(found.into_values()) {
        let account = org.account(known.account_id.clone());
        let integrations = all_integrations(&account).await?;
        docs.push(AccountDoc::of(known, integrations, org.environment()));
    }
    Ok(Json(Paged::new(docs, total, number)))
}

/// The first accounts by `_id`, as many as this page and those before it need, and the total number. The engine lists
/// by the org's own ids, so all accounts have to be walked.
async fn walk(
    org: &Org,
    wanted: Option<&Wanted>,
    number: PageNumber,
) -> Result<(BTreeMap<DocumentId, LinkedAccount>, usize), Failure> {
    let kept_max = number.skip().saturating_add(number.limit);
    let (mut kept, mut total, mut examined) = (BTreeMap::new(), 0, 0_usize);
    let mut request = PageRequest::first(PageRequest::LIMIT_MAX);
    loop {
        let page = org.linked_accounts(request).await?;
        examined += page.items.len();
        if wanted.is_some() && examined > EXAMINED_MAX {
            return Err(Failure::bad_request(format!(
                "there are more than {EXAMINED_MAX} linked accounts, too many to look into"
            )));
        }
        for known in page.items {
            if let Some(wanted) = wanted
                && !wanted.is_value_of(org, &known).await?
            {
                continue;
            }
            total += 1;
            kept.insert(known.id, known);
            // Memory stays within the page and those before it, however many accounts there are.
            if kept.len() > kept_max {
                kept.pop_last();
            }
        }
        let Some(next) = page.next else { return Ok((kept, total)) };
        request = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
        // An embedded store never yields by itself, and the walk is long.
        tokio::task::yield_now().await;
    }
}

/// The value to find accounts by.
struct Wanted {
    definition: DefinitionId,
    value: String,
}

impl Wanted {
    async fn of(org: &Org, name: &str, value: String) -> Result<Self, Failure> {
        let definition = refuse_encrypted(org, name.into()).await?.id;
        Ok(Self { definition, value })
    }

    async fn is_value_of(&self, org: &Org, known: &LinkedAccount) -> Result<bool, Failure> {
        let scope = Scope::LinkedAccount(known.account_id.clone());
        let found = org.value(self.definition, &scope).await?;
        Ok(found.is_some_and(|found| found.value.expose() == self.value))
    }
}

/// A definition, if its values may be compared with a submitted one: a comparison reveals them.
async fn refuse_encrypted(org: &Org, definition: DefinitionRef<'_>) -> Result<StoredDefinition, Failure> {
    let found = org.definition(definition).await?.ok_or_else(Failure::definition_not_found)?;
    if found.definition.encrypted {
        return Err(Failure::bad_request("accounts cannot be found by the value of an encrypted variable"));
    }
    Ok(found)
}

/// Each one is a read of its value.
const EXAMINED_MAX: usize = 10_000;
