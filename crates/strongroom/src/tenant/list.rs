//! Lists that can grow, a page at a time.

use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::model::{Cursor, CursorError, ListId, Listing, PageRequest};
use crate::row::TenantRow;
use crate::scope::Scope;
use crate::store::{Key, KeyRange, Scan, Versioned};
use crate::tenant::{Freshness, Needs, Tenant, View};

/// A list of the rows of a range.
#[derive(Clone, Copy)]
pub(crate) struct List<'l> {
    name: &'static str,
    range: &'l KeyRange,
    account: Option<&'l LinkedAccountId>,
    freshness: Freshness,
    /// The first key of a list that goes from the end of the range back to it.
    back_to: Option<&'l [u8]>,
    /// Whether few of its rows are items.
    is_sparse: bool,
}

impl<'l> List<'l> {
    /// Two lists over the same range need different names; otherwise one would accept the other's cursors.
    pub(crate) fn new(name: &'static str, range: &'l KeyRange) -> Self {
        Self { name, range, account: None, freshness: Freshness::Cached, back_to: None, is_sparse: false }
    }

    /// A list of rows that are sealed with the keys of this account, if there is one.
    pub(crate) fn of_account(self, account: Option<&'l LinkedAccountId>) -> Self {
        Self { account, ..self }
    }

    /// A list that also shows items that cannot be opened: with keys that are out of date, that would be everything.
    pub(crate) fn fresh(self) -> Self {
        Self { freshness: Freshness::Fresh, ..self }
    }

    /// From the last row to the first, which has this key or a later one.
    pub(crate) fn back_to(self, first: &'l [u8]) -> Self {
        Self { back_to: Some(first), ..self }
    }

    /// A list of few of its rows: many are read at once, and a page ends, with however many items, once some 4,000 were
    /// read for it.
    pub(crate) fn sparse(self) -> Self {
        Self { is_sparse: true, ..self }
    }

    pub(crate) fn id(&self) -> ListId<'l> {
        ListId { name: self.name, start: &self.range.start }
    }

    /// The key after which a page starts; `None` for the first page.
    pub(crate) fn last_before(&self, page: &PageRequest) -> Result<Option<Vec<u8>>, CursorError> {
        let place = page.place_in(self.id())?;
        Ok(place.map(|place| [&self.range.start, place].concat()))
    }

    /// At most this many rows of the rest of the list.
    fn scan(&self, last: Option<&Vec<u8>>, limit: usize) -> Scan {
        let Some(first) = self.back_to else { return Scan::new(self.rest(last), limit) };
        let range = KeyRange { start: first.to_vec(), end: self.range.end.clone() };
        Scan::new(last.map_or(range.clone(), |last| range.before(last)), limit).reverse()
    }

    /// The rows after a key; all of them without one.
    pub(crate) fn rest(&self, last: Option<&Vec<u8>>) -> KeyRange {
        match last {
            Some(last) => self.range.clone().after(last),
            None => self.range.clone(),
        }
    }

    /// The cursor of the page that starts after this row.
    pub(crate) fn cursor(&self, last: &Key) -> Cursor {
        let place = last.as_bytes().get(self.range.start.len()..);
        Cursor::new(self.id(), place.unwrap_or_default())
    }
}

impl Tenant {
    /// One page of the items that `open` returns for the rows of a list. Skips rows without an item.
    pub(crate) async fn list<T>(
        &self,
        list: List<'_>,
        page: &PageRequest,
        open: impl Fn(&View<'_>, &Key, &Versioned) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        self.list_known(list, page, |_| true, open).await
    }

    /// A page of the rows that the caller knows: nothing in the result depends on the others.
    pub(crate) async fn list_known<T>(
        &self,
        list: List<'_>,
        page: &PageRequest,
        knows: impl Fn(&Key) -> bool,
        open: impl Fn(&View<'_>, &Key, &Versioned) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        let needs = Needs::org_keys().accounts(list.account.as_slice()).freshness(list.freshness);
        let (mut items, mut rows_len) = (Vec::new(), 0);
        let mut end: Option<Key> = None;
        let mut last = list.last_before(page)?;
        let (rows_at_once, rows_max) =
            if list.is_sparse { (SPARSE_ROWS, SPARSE_ROWS_MAX) } else { (0, usize::MAX) };
        loop {
            // One row more than the page holds shows whether another page follows.
            let scan = list.scan(last.as_ref(), rows_at_once.max(page.limit - items.len() + 1));
            let (view, found) = self.read(&needs, scan).await?;
            for (key, row) in found.rows.iter().filter(|(key, _)| knows(key)) {
                if items.len() == page.limit {
                    return Ok(Listing { items, next: end.as_ref().map(|end| list.cursor(end)) });
                }
                items.extend(open(&view, key, row)?);
                end = Some(key.clone());
            }
            // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop
            // going.
            let Some((read, _)) = found.rows.last().filter(|_| found.more) else {
                return Ok(Listing { items, next: None });
            };
            rows_len += found.rows.len();
            if rows_len >= rows_max {
                return Ok(Listing { items, next: Some(list.cursor(read)) });
            }
            last = Some(read.as_bytes().to_vec());
        }
    }
}

impl Tenant {
    /// A page of the scopes at which something is set, from the keys of values only. From a scope with many values it
    /// skips straight to the next one.
    pub(crate) async fn scopes_with_values(&self, page: &PageRequest) -> Result<Listing<Scope>, Error> {
        let all = self.id.all_values();
        let list = List::new("scopes_with_values", &all);
        let mut rest = all.clone();
        if let Some(place) = page.place_in(list.id())? {
            rest.start = self.end_of(&self.scope_at(place)?);
        }
        let mut items: Vec<Scope> = Vec::new();
        loop {
            let found = self.engine.read(Scan::new(rest.clone(), SCOPE_KEYS).keys_only()).await?;
            for (key, _) in &found.rows {
                // Not the key of a value: `verify` reports it, and it does not hide the rest.
                let Some(TenantRow::Value(scope, _)) = self.id.parse_row(key.as_bytes()) else { continue };
                if items.last() == Some(&*scope) {
                    continue;
                }
                if items.len() == page.limit {
                    let next = items.last().map(|last| self.id.values(last).start);
                    return Ok(Listing { items, next: next.map(|start| list.cursor(&Key::from(start))) });
                }
                items.push(scope.into_owned());
            }
            // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop going.
            let Some((last, _)) = found.rows.last().filter(|_| found.more) else {
                return Ok(Listing { items, next: None });
            };
            rest = all.clone().after(last.as_bytes());
            if let Some(scope) = items.last() {
                rest.start = rest.start.max(self.end_of(scope));
            }
        }
    }

    /// Where the values of a scope end. There is such a key, since every scope ends with a byte that can be raised.
    fn end_of(&self, scope: &Scope) -> Vec<u8> {
        let KeyRange { start, end } = self.id.values(scope);
        end.unwrap_or(start)
    }

    /// The place in a cursor is the prefix of the keys of a scope's values.
    fn scope_at(&self, place: &[u8]) -> Result<Scope, Error> {
        let key = [self.id.all_values().start.as_slice(), place, &[0; 12]].concat();
        match self.id.parse_row(&key) {
            Some(TenantRow::Value(scope, _)) => Ok(scope.into_owned()),
            _ => Err(CursorError.into()),
        }
    }
}

/// Enough that each scope with few values costs only a small part of a read.
const SCOPE_KEYS: usize = 512;
/// How many rows of a sparse list are read at once, and for one page.
const SPARSE_ROWS: usize = 512;
const SPARSE_ROWS_MAX: usize = 4_096;
