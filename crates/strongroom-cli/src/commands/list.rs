//! `list`: definitions, or the values of one scope.

use std::collections::HashMap;

use serde_json::{Value, json};
use strongroom::{
    Cursor, DefinitionFilter, DefinitionId, Error, Listing, Org, PageRequest, Scope, ScopedValue,
    StoredDefinition,
};

use crate::failure::Failure;
use crate::output::{MASK, Output, time, yes};

pub(crate) async fn definitions(org: &Org, output: &Output) -> Result<(), Failure> {
    let all = all_definitions(org).await?;
    let rows = all.iter().map(|stored| {
        let definition = &stored.definition;
        [
            definition.name.clone(),
            definition.var_format.to_string(),
            scopes(stored).join(", "),
            yes(definition.encrypted),
            yes(definition.required),
            definition.description.clone().unwrap_or_default(),
        ]
    });
    let json: Vec<_> = all.iter().map(definition_json).collect();
    output.list(["NAME", "FORMAT", "SCOPES", "ENCRYPTED", "REQUIRED", "DESCRIPTION"], rows, &json)
}

pub(crate) async fn values(org: &Org, scope: &Scope, output: &Output) -> Result<(), Failure> {
    let names: HashMap<DefinitionId, StoredDefinition> =
        all_definitions(org).await?.into_iter().map(|stored| (stored.id, stored)).collect();
    let all = all_values(org, scope).await?;
    let known: Vec<_> =
        all.iter().filter_map(|value| Some((value, &names.get(&value.definition_id)?.definition))).collect();
    let rows = known.iter().map(|(value, definition)| {
        [definition.name.clone(), MASK.to_owned(), yes(definition.encrypted), time(value.updated_at)]
    });
    let json = known.iter().map(|(value, definition)| {
        json!({
            "id": value.id.to_string(),
            "variable_definition_id": value.definition_id.to_string(),
            "name": definition.name,
            "value": MASK,
            "scope": scope.kind().as_str(),
            "encrypted": definition.encrypted,
            "created_at": time(value.created_at),
            "updated_at": time(value.updated_at),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["NAME", "VALUE", "ENCRYPTED", "UPDATED"], rows, &json)
}

/// All definitions, in the order of their making.
pub(crate) async fn all_definitions(org: &Org) -> Result<Vec<StoredDefinition>, Error> {
    let filter = DefinitionFilter::all();
    all_pages(async |page| org.definitions(&filter, page).await).await
}

/// All values of one scope.
pub(crate) async fn all_values(org: &Org, scope: &Scope) -> Result<Vec<ScopedValue>, Error> {
    all_pages(async |page| org.values(scope, page).await).await
}

/// The items of all pages of a list.
pub(crate) async fn all_pages<T>(
    list: impl AsyncFn(PageRequest) -> Result<Listing<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = PageRequest::first(PageRequest::LIMIT_MAX);
        let page = list(after.map_or(page.clone(), |cursor| page.after(cursor))).await?;
        items.extend(page.items);
        match page.next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(items),
        }
    }
}

fn definition_json(stored: &StoredDefinition) -> Value {
    let definition = &stored.definition;
    json!({
        "id": stored.id.to_string(),
        "name": definition.name,
        "description": definition.description,
        "scopes": scopes(stored),
        "var_format": definition.var_format.name(),
        "encrypted": definition.encrypted,
        "required": definition.required,
        "default": definition.default,
        "created_at": time(stored.created_at),
        "updated_at": time(stored.updated_at),
    })
}

fn scopes(stored: &StoredDefinition) -> Vec<&'static str> {
    stored.definition.scopes.iter().map(strongroom::ScopeKind::as_str).collect()
}
