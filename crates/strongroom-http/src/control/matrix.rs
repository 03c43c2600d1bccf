//! Variables × scopes, a page of rows and of columns at a time.

use std::collections::HashMap;

use axum::Json;
use strongroom::{
    AuditNote, DefinitionFilter, DefinitionId, LinkedAccount, LinkedAccountId, Listing, Org, Origin,
    PageRequest, Resolved, Scope, ScopeKind, ScopePath, StoredDefinition,
};

use super::BASE;
use super::bodies::{Cell, Column, EntryState, Matrix, MatrixRow};
use super::operator::{Operator, full, path_of};
use super::queries::MatrixQuery;
use super::visible::visible;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::Query;

/// Variables as rows and scopes as columns: what is set where, what overrides what, and what is missing
///
/// The columns are the org and a page of its linked accounts, or one account. Rows and columns each have their own
/// cursor. A page may hold fewer rows than its limit if `search` or `missing` excludes some.
#[utoipa::path(
    get, context_path = BASE, path = "/matrix", tag = "control: variables", params(MatrixQuery),
    responses((status = 200, body = Matrix), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn matrix(
    operator: Operator,
    Query(query): Query<MatrixQuery>,
) -> Result<Json<Matrix>, Failure> {
    operator.may(Right::Read)?;
    let org = &operator.org;
    let (filter, grant) = (DefinitionFilter::all(), operator.grant());
    let (definitions, next) =
        visible!(grant, query.rows()?, |page| org.definitions(&filter, page), |stored: &StoredDefinition| {
            grant.takes_name(&stored.definition.name)
        });
    // A narrowed key must not notice the other variables, not even that one of them cannot be read.
    let names = definitions.iter().map(|stored| stored.definition.name.clone());
    let names: Option<Vec<_>> = (!grant.names().is_empty()).then(|| names.collect());
    let (accounts, next_columns) = accounts(&operator, &query).await?;

    // In the view of a narrowed key, what belongs to no account appears only as inherited by the account.
    let shows_org = operator.grant().takes_account(None);
    let mut columns = Vec::with_capacity(accounts.len() + 1);
    if shows_org {
        let column = Column { scope: ScopeKind::Org, linked_account_id: None, name: None };
        let found = seen(org, ScopePath::org(), names.as_deref(), column.scope).await?;
        columns.push((column, found));
    }
    for account in accounts {
        let path = path_of(Some(account.account_id.clone()), None);
        let found = seen(org, path, names.as_deref(), ScopeKind::LinkedAccount).await?;
        columns.push((Column::of(account), found));
        // An embedded store never yields.
        tokio::task::yield_now().await;
    }

    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let only_missing = query.only_missing()?;
    let rows =
        definitions.into_iter().filter(|stored| stored.definition.name.to_lowercase().contains(&search));
    let rows = rows
        .map(|stored| (AuditNote::values_read(&stored), MatrixRow::of(stored, &mut columns)))
        .filter(|(_, row)| !only_missing || row.has(|cell| cell.state == EntryState::Missing));
    let (notes, rows): (Vec<_>, Vec<_>) = rows.unzip();
    // One note for each row, whatever its columns are.
    let shown = notes.into_iter().zip(&rows).filter(|(_, row)| row.has(|cell| cell.value.is_some()));
    operator.note(false, shown.map(|(note, _)| note).collect()).await?;
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    Ok(Json(Matrix { columns, rows, next, next_columns }))
}

/// What a run sees, by definition. Values are cut before the next column is read, so that those of only one run are in
/// memory.
/// are held.
type Seen = HashMap<DefinitionId, Cell>;

/// Only of these variables, if there is a list.
async fn seen(
    org: &Org,
    path: ScopePath,
    names: Option<&[String]>,
    column: ScopeKind,
) -> Result<Seen, Failure> {
    let found = match names {
        Some(names) => org.reader(path).only(names.iter().map(String::as_str)).resolve_all().await,
        None => org.resolve_all(&path).await,
    };
    let found = found.map_err(full)?;
    Ok(found.values.iter().map(|one| (one.definition_id, Cell::of(one, column))).collect())
}

/// The accounts of the columns, and where the next ones begin.
async fn accounts(
    operator: &Operator,
    query: &MatrixQuery,
) -> Result<(Vec<LinkedAccount>, Option<String>), Failure> {
    let org = &operator.org;
    if let Some(id) = query.account()? {
        operator.may_account(Right::Read, Some(&id))?;
        return Ok((vec![registered(org, &id).await?], None));
    }
    let granted = operator.grant().accounts();
    if !granted.is_empty() {
        let mut found = Vec::new();
        for id in granted {
            found.extend(org.linked_account(id).await.map_err(full)?);
        }
        return Ok((found, None));
    }
    let Some(page) = query.columns()? else { return Ok((Vec::new(), None)) };
    let Listing { items, next, .. } = list(org, page).await?;
    Ok((items, next.map(|cursor| cursor.to_string())))
}

async fn list(org: &Org, page: PageRequest) -> Result<Listing<LinkedAccount>, Failure> {
    org.linked_accounts(page).await.map_err(full)
}

async fn registered(org: &Org, id: &LinkedAccountId) -> Result<LinkedAccount, Failure> {
    let found = org.linked_account(id).await.map_err(full)?;
    found.ok_or_else(|| Failure::absent(Reason::AccountNotFound, "Linked account not found"))
}

impl Column {
    fn of(account: LinkedAccount) -> Self {
        let id = account.account_id.to_string();
        Self { scope: ScopeKind::LinkedAccount, linked_account_id: Some(id), name: account.name }
    }
}

impl MatrixRow {
    fn has(&self, what: impl Fn(&Cell) -> bool) -> bool {
        self.cells.iter().any(what)
    }

    fn of(stored: StoredDefinition, columns: &mut [(Column, Seen)]) -> Self {
        let definition = stored.definition;
        let cell = |(_, seen): &mut (Column, Seen)| match seen.remove(&stored.id) {
            Some(cell) => cell,
            None if definition.required => Cell::empty(EntryState::Missing),
            None => Cell::empty(EntryState::None),
        };
        let cells = columns.iter_mut().map(cell).collect();
        Self {
            id: stored.id.to_string(),
            cells,
            name: definition.name,
            var_format: definition.var_format.name().to_owned(),
            encrypted: definition.encrypted,
            required: definition.required,
            scopes: definition.scopes.iter().collect(),
        }
    }
}

impl Cell {
    fn of(found: &Resolved, column: ScopeKind) -> Self {
        let state = match &found.scope {
            Origin::Scope(Scope::Org) if column == ScopeKind::LinkedAccount => EntryState::Inherited,
            Origin::Scope(_) => EntryState::Set,
            Origin::Default | _ => EntryState::Default,
        };
        let overrides = found.shadowed.iter().map(|origin| origin.as_str().to_owned()).collect();
        let value = (!found.encrypted).then(|| cut(found.value.expose()));
        Self { state, value, overrides }
    }

    fn empty(state: EntryState) -> Self {
        Self { state, value: None, overrides: Vec::new() }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const SHOWN_CHARS_MAX: usize = 64;
