//! Variables × scopes, a page of rows and of columns at a time.

use std::collections::HashMap;

use axum::Json;
use strongroom::{
    AuditNote, DefinitionId, Error, ErrorKind, LinkedAccount, Origin, Resolved, Scope, ScopeKind, ScopePath,
    StoredDefinition,
};

use super::BASE;
use super::bodies::{Cell, Column, EntryState, Matrix, MatrixRow, Page};
use super::operator::{Operator, full, path_of};
use super::queries::MatrixQuery;
use super::{accounts, definitions};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
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
    let Page { items: definitions, next, mut unreadable } =
        definitions::readable_page(&operator, query.rows()?).await?;
    let rows = Rows { operator: &operator, definitions: &definitions };
    let accounts = columns(&operator, &query).await?;
    unreadable.extend(accounts.unreadable);

    // In the view of a narrowed key, what belongs to no account appears only as inherited by the account.
    let shows_org = operator.grant().takes_account(None);
    let mut columns = Vec::with_capacity(accounts.items.len() + 1);
    if shows_org {
        let column = Column { scope: ScopeKind::Org, linked_account_id: None, name: None };
        let found = rows.seen(ScopePath::org(), column.scope).await?;
        columns.push((column, found));
    }
    for account in accounts.items {
        let path = path_of(Some(account.account_id.clone()), None);
        let found = rows.seen(path, ScopeKind::LinkedAccount).await?;
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
    Ok(Json(Matrix { columns, rows, next, next_columns: accounts.next, unreadable }))
}

/// What a run sees, by definition. Values are cut before the next column is read, so that those of only one run are in
/// memory.
/// are held.
type Seen = HashMap<DefinitionId, Cell>;

/// The variables of the rows, and who asks.
struct Rows<'r> {
    operator: &'r Operator,
    definitions: &'r [StoredDefinition],
}

impl Rows<'_> {
    async fn seen(&self, path: ScopePath, column: ScopeKind) -> Result<Seen, Failure> {
        let run = self.operator.org.reader(path.clone());
        // To a narrowed key, what other variables hold is not there, nor that it cannot be read.
        let found = match self.operator.grant().names() {
            [] => run.resolve_all().await,
            _ => {
                run.only(self.definitions.iter().map(|one| one.definition.name.as_str())).resolve_all().await
            }
        };
        match found {
            Ok(found) => {
                Ok(found.values.iter().map(|one| (one.definition_id, Cell::of(one, column))).collect())
            }
            Err(error) if error.kind() == ErrorKind::Damaged => self.seen_each(&path, column).await,
            Err(error) => Err(full(error)),
        }
    }

    /// The same where a row cannot be read: by itself, each variable fails only for a row of its own.
    async fn seen_each(&self, path: &ScopePath, column: ScopeKind) -> Result<Seen, Failure> {
        let mut seen = Seen::new();
        for stored in self.definitions {
            let cell = match self.operator.org.resolve(stored.id, path).await {
                Ok(Some(found)) => Cell::of(&found, column),
                Ok(None) | Err(Error::DefinitionNotFound(_)) => continue,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    tracing::error!(%error, "a value is shown as unreadable");
                    Cell::empty(EntryState::Unreadable)
                }
                Err(error) => return Err(full(error)),
            };
            seen.insert(stored.id, cell);
            // An embedded store never yields by itself.
            tokio::task::yield_now().await;
        }
        Ok(seen)
    }
}

/// The accounts of the columns.
async fn columns(operator: &Operator, query: &MatrixQuery) -> Result<Page<LinkedAccount>, Failure> {
    let mut page = Page::new(Vec::new(), None);
    if let Some(id) = query.account()? {
        operator.may_account(Right::Read, Some(&id))?;
        page.take(operator.org.linked_account(&id).await)?;
        let is_there = !page.items.is_empty() || !page.unreadable.is_empty();
        return if is_there { Ok(page) } else { Err(accounts::not_found()) };
    }
    match query.columns()? {
        Some(request) => accounts::readable(operator, request).await,
        None => Ok(page),
    }
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
