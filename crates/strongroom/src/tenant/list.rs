//! Lists that can grow, a page at a time.

use std::str::FromStr;

use crate::error::{Damage, Error};
use crate::id::LinkedAccountId;
use crate::model::{Cursor, CursorError, Listing, PageRequest};
use crate::row::{TenantRow, parse_last_id};
use crate::scope::Scope;
use crate::store::{Key, KeyRange, Scan, Versioned};
use crate::tenant::{Needs, Tenant, View};

impl Tenant {
    /// One page of the items that `open` returns for the rows of `range`. A row without one is skipped.
    pub(crate) async fn list<T>(
        &self,
        account: Option<&LinkedAccountId>,
        range: &KeyRange,
        page: &PageRequest,
        open: impl Fn(&View<'_>, &Key, &Versioned) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        self.list_known(account, range, page, |_| true, open).await
    }

    /// The same of the rows that whoever asks knows: nothing that is returned depends on the others.
    pub(crate) async fn list_known<T>(
        &self,
        account: Option<&LinkedAccountId>,
        range: &KeyRange,
        page: &PageRequest,
        knows: impl Fn(&Key) -> bool,
        open: impl Fn(&View<'_>, &Key, &Versioned) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        let needs = Needs::org_keys().accounts(account.as_slice());
        let mut items = Vec::new();
        let mut end: Option<Key> = None;
        let mut last = page.after.as_ref().map(|cursor| [&range.start, cursor.0.as_slice()].concat());
        loop {
            let rest = match &last {
                Some(last) => range.clone().after(last),
                None => range.clone(),
            };
            // One row more than the page holds shows whether another page follows.
            let scan = Scan::new(rest, page.limit - items.len() + 1);
            let (view, found) = self.read(&needs, scan).await?;
            for (key, row) in found.rows.iter().filter(|(key, _)| knows(key)) {
                if items.len() == page.limit {
                    let next = end.as_ref().and_then(|end| end.as_bytes().get(range.start.len()..));
                    return Ok(Listing { items, next: next.map(|suffix| Cursor(suffix.to_vec())) });
                }
                items.extend(open(&view, key, row)?);
                end = Some(key.clone());
            }
            // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop
            // going.
            let Some((read, _)) = found.rows.last().filter(|_| found.more) else {
                return Ok(Listing { items, next: None });
            };
            last = Some(read.as_bytes().to_vec());
        }
    }
}

impl Tenant {
    /// A page of the scopes at which something is set, by the keys of values alone. From a scope with many values it
    /// goes straight to the next one.
    pub(crate) async fn scopes_with_values(&self, page: &PageRequest) -> Result<Listing<Scope>, Error> {
        let all = self.id.all_values();
        let mut rest = all.clone();
        if let Some(cursor) = &page.after {
            rest.start = self.end_of(&self.scope_at(cursor)?);
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
                    let next = items.last().map(|last| self.scope_cursor(last));
                    return Ok(Listing { items, next });
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

    /// A cursor is how the keys of a scope's values begin.
    fn scope_cursor(&self, scope: &Scope) -> Cursor {
        let start = self.id.all_values().start.len();
        Cursor(self.id.values(scope).start.get(start..).unwrap_or_default().to_vec())
    }

    fn scope_at(&self, cursor: &Cursor) -> Result<Scope, Error> {
        let key = [self.id.all_values().start.as_slice(), &cursor.0, &[0; 12]].concat();
        match self.id.parse_row(&key) {
            Some(TenantRow::Value(scope, _)) => Ok(scope.into_owned()),
            _ => Err(CursorError.into()),
        }
    }
}

/// The id at the end of the key of a listed row.
pub(crate) fn listed_id<T: FromStr>(range: &KeyRange, key: &Key) -> Result<T, Error> {
    parse_last_id(range, key).ok_or_else(|| Error::damaged("the key of a listed row", Damage::Malformed))
}

/// Enough that scopes of few values cost a small part of a read each.
const SCOPE_KEYS: usize = 512;
