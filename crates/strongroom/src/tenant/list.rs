//! Lists that can grow, a page at a time.

use std::str::FromStr;

use crate::error::{Damage, Error};
use crate::id::LinkedAccountId;
use crate::model::{Cursor, Listing, PageRequest};
use crate::row::parse_last_id;
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
        let needs = Needs::org_keys().accounts(account.as_slice());
        let mut items = Vec::new();
        let mut last = page.after.as_ref().map(|cursor| [&range.start, cursor.0.as_slice()].concat());
        loop {
            let rest = match &last {
                Some(last) => range.clone().after(last),
                None => range.clone(),
            };
            // One row more than the page holds shows whether another page follows.
            let scan = Scan::new(rest, page.limit - items.len() + 1);
            let (view, found) = self.read(&needs, scan).await?;
            for (key, row) in &found.rows {
                if items.len() == page.limit {
                    let next = last.as_deref().and_then(|last| last.get(range.start.len()..));
                    return Ok(Listing { items, next: next.map(|suffix| Cursor(suffix.to_vec())) });
                }
                items.extend(open(&view, key, row)?);
                last = Some(key.as_bytes().to_vec());
            }
            // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop
            // going.
            if !found.more || found.rows.is_empty() {
                return Ok(Listing { items, next: None });
            }
        }
    }
}

/// The id at the end of the key of a listed row.
pub(crate) fn listed_id<T: FromStr>(range: &KeyRange, key: &Key) -> Result<T, Error> {
    parse_last_id(range, key).ok_or_else(|| Error::damaged("the key of a listed row", Damage::Malformed))
}
