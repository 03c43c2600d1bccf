//! The index from a definition to its values.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::format::FormatError;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::model::{Cursor, Listing, PageRequest, ScopedValue, StoredDefinition, ValuePlace};
use crate::row::decode_index;
use crate::scope::{Scope, ScopeKind, Scopes};
use crate::store::{Key, Scan, Versioned};
use crate::tenant::check::value_form;
use crate::tenant::{List, Needs, Tenant};

/// A value of a definition, and the index row that led to it.
pub(crate) struct IndexedValue {
    pub(crate) index: (Key, Versioned),
    pub(crate) row: (Key, Versioned),
    /// The value, or why it cannot be opened.
    pub(crate) value: Result<ScopedValue, Error>,
}

impl Tenant {
    /// A page of the values of a definition, found through its index, and where the next one starts.
    pub(crate) async fn values_of(
        &self,
        stored: &StoredDefinition,
        page: &PageRequest,
    ) -> Result<(Vec<ScopedValue>, Option<Cursor>), Error> {
        let range = self.id.definition_values(&stored.id);
        let list = List::new("plan_format_change", &range);
        let last = list.last_before(page)?;
        let found = self.engine.scan(list.rest(last.as_ref()), page.limit.min(EXAMINED_MAX)).await?;
        let next = found.rows.last().filter(|_| found.more).map(|(key, _)| list.cursor(key));
        let values = self.read_indexed(stored, found.rows).await?;
        let values: Result<_, _> = values.into_iter().map(|indexed| indexed.value).collect();
        Ok((values?, next))
    }

    /// Reads and opens the values that rows of a definition's index lead to.
    pub(crate) async fn read_indexed(
        &self,
        stored: &StoredDefinition,
        index: Vec<(Key, Versioned)>,
    ) -> Result<Vec<IndexedValue>, Error> {
        let place = |entry: (Key, Versioned)| {
            let scope = self.id.parse_definition_value(&stored.id, entry.0.as_bytes())?;
            Some((entry, scope))
        };
        let places: Vec<_> = index.into_iter().filter_map(place).collect();
        let accounts: Vec<&LinkedAccountId> =
            places.iter().filter_map(|(_, scope)| scope.linked_account()).collect();
        let gets: Vec<Key> = places.iter().map(|(_, scope)| self.id.value(scope, &stored.id).key()).collect();
        let needs = Needs::org_keys().accounts(&accounts);
        let (view, rows) = self.read(&needs, gets).await?;
        let mut values = Vec::with_capacity(places.len());
        for ((index, scope), row) in places.iter().zip(rows) {
            // The index may still lead to a value that a sweep has deleted.
            let Some(row) = row else { continue };
            if let Some(value) = self.open_value(&view, scope, &stored.id, &row).transpose() {
                let row = (self.id.value(scope, &stored.id).key(), row);
                values.push(IndexedValue { index: index.clone(), row, value });
            }
        }
        Ok(values)
    }

    /// The rule of its definition that a value breaks; `None` if this process does not know the format.
    pub(crate) fn broken_rule(&self, stored: &StoredDefinition, value: &ScopedValue) -> Option<FormatError> {
        let (definition, formats) = (&stored.definition, &self.engine.formats);
        value_form(definition, &value.value, formats).err().filter(|_| formats.know(&definition.var_format))
    }

    /// Which of `scopes` hold a grandfathered value. Reads nothing if the format was never changed.
    pub(crate) async fn grandfathered<'s>(
        &self,
        stored: &StoredDefinition,
        scopes: impl Iterator<Item = &'s Scope>,
    ) -> Result<Vec<bool>, Error> {
        let scopes: Vec<&Scope> = scopes.collect();
        if stored.format_changes == 0 {
            return Ok(vec![false; scopes.len()]);
        }
        let gets: Vec<Key> =
            scopes.iter().map(|scope| self.id.definition_value(&stored.id, scope).key()).collect();
        self.engine
            .read(gets)
            .await?
            .iter()
            .map(|row| row.as_ref().map_or(Ok(false), is_grandfathered))
            .collect()
    }
}

/// Whether the index row of a value is marked, with one byte.
pub(crate) fn is_grandfathered(row: &Versioned) -> Result<bool, Error> {
    let mark = decode_index(&row.value).map_err(|error| Error::row("the index row of a value", error))?;
    Ok(!mark.is_empty())
}

/// The mark of a grandfathered value.
pub(crate) const GRANDFATHERED: &[u8] = &[1];

/// How many values one page of a plan examines.
pub(crate) const EXAMINED_MAX: usize = 100;

impl Tenant {
    /// Refuses to remove scopes that hold a value.
    pub(crate) async fn refuse_in_use(&self, id: DefinitionId, removed: Scopes) -> Result<(), Error> {
        for kind in removed.iter() {
            if let Some(scope) = self.value_at(id, kind).await? {
                return Err(Error::ScopeInUse { definition: id, scope });
            }
        }
        Ok(())
    }

    /// Whether the definition has a value at one of these kinds of scope that was set at this time or later. A value
    /// that nobody can read does not count.
    pub(crate) async fn has_value_since(
        &self,
        stored: &StoredDefinition,
        kinds: Scopes,
        since: Timestamp,
    ) -> Result<bool, Error> {
        for kind in kinds.iter() {
            let mut rest = self.id.definition_values_at(&stored.id, kind);
            loop {
                let page = self.engine.scan(rest.clone(), INDEX_PAGE).await?;
                for (key, _) in &page.rows {
                    let Some(scope) = self.id.parse_definition_value(&stored.id, key.as_bytes()) else {
                        continue;
                    };
                    let accounts = scope.linked_account();
                    let needs = Needs::org_keys().accounts(accounts.as_slice());
                    let (view, [row]) = self.read(&needs, [self.id.value(&scope, &stored.id).key()]).await?;
                    let Some(row) = row else { continue };
                    match self.open_value(&view, &scope, &stored.id, &row) {
                        Ok(Some(value)) if value.updated_at >= since => return Ok(true),
                        Ok(_) => {}
                        Err(error) if error.is_damage() => {}
                        Err(error) => return Err(error),
                    }
                }
                match page.rows.last() {
                    Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                    _ => break,
                }
            }
        }
        Ok(false)
    }

    /// Some scope of `kind` at which the definition has a value. The index may also lead to rows whose key was
    /// dropped.
    async fn value_at(&self, id: DefinitionId, kind: ScopeKind) -> Result<Option<Scope>, Error> {
        let tenant_id = &self.id;
        let mut rest = tenant_id.definition_values_at(&id, kind);
        loop {
            let page = self.engine.scan(rest.clone(), INDEX_PAGE).await?;
            let scope = |(key, _): &(Key, Versioned)| tenant_id.parse_definition_value(&id, key.as_bytes());
            let scopes: Vec<Scope> = page.rows.iter().filter_map(scope).collect();
            if let Some(scope) = self.scopes_with_value(id, &scopes).await?.into_iter().next() {
                return Ok(Some(scope));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(None),
            }
        }
    }

    /// A page of the places at which the definition has a value. Nothing is opened.
    pub(crate) async fn places_of(
        &self,
        id: DefinitionId,
        page: &PageRequest,
    ) -> Result<Listing<ValuePlace>, Error> {
        let range = self.id.definition_values(&id);
        let list = List::new("values_of", &range);
        let mut items = Vec::new();
        let mut last = list.last_before(page)?;
        loop {
            let rest = list.rest(last.as_ref());
            let index = self.engine.scan(rest, INDEX_PAGE.min(page.limit - items.len())).await?;
            let scope = |(key, _): &(Key, Versioned)| self.id.parse_definition_value(&id, key.as_bytes());
            let scopes: Vec<Scope> = index.rows.iter().filter_map(scope).collect();
            items.extend(self.values_at(id, &scopes).await?);
            // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop going.
            let Some((key, _)) = index.rows.last().filter(|_| index.more) else {
                return Ok(Listing { items, next: None });
            };
            last = Some(key.as_bytes().to_vec());
            if items.len() == page.limit {
                return Ok(Listing { items, next: Some(list.cursor(key)) });
            }
        }
    }

    /// The rows of all values of a definition and of their history, found by their own keys and not by the index. Reads
    /// the keys of all values of the org.
    pub(crate) async fn values_by_key(&self, id: &DefinitionId) -> Result<Vec<Key>, Error> {
        let mut found = Vec::new();
        for range in [self.id.all_values(), self.id.all_values_history()] {
            let mut rest = range;
            loop {
                let page = self.engine.read(Scan::new(rest.clone(), KEYS_PAGE).keys_only()).await?;
                let keys = page.rows.iter().map(|(key, _)| key);
                found.extend(keys.filter(|key| self.id.definition_of(key) == Some(*id)).cloned());
                match page.rows.last() {
                    Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                    _ => break,
                }
            }
        }
        Ok(found)
    }

    /// The scopes, of at most [`INDEX_PAGE`], at which the definition has a value.
    pub(crate) async fn scopes_with_value(
        &self,
        id: DefinitionId,
        scopes: &[Scope],
    ) -> Result<Vec<Scope>, Error> {
        Ok(self.values_at(id, scopes).await?.into_iter().map(|place| place.scope).collect())
    }

    /// The values of the definition at at most [`INDEX_PAGE`] scopes, without opening them.
    async fn values_at(&self, id: DefinitionId, scopes: &[Scope]) -> Result<Vec<ValuePlace>, Error> {
        let mut found = Vec::new();
        if scopes.is_empty() {
            return Ok(found);
        }
        let accounts: Vec<_> = scopes.iter().filter_map(Scope::linked_account).collect();
        let gets: Vec<Key> = scopes.iter().map(|scope| self.id.value(scope, &id).key()).collect();
        let needs = Needs::org_keys().accounts(&accounts);
        let (view, rows) = self.read(&needs, gets).await?;
        for (scope, row) in scopes.iter().zip(&rows) {
            if let Some(row) = row
                && let Some(value) = self.find_in_row(&view, scope, &id, row)?
            {
                found.push(ValuePlace { scope: scope.clone(), found: value });
            }
        }
        Ok(found)
    }
}

/// Few enough that one read holds a value and a keyring for each.
pub(crate) const INDEX_PAGE: usize = 32;
const KEYS_PAGE: usize = 1_000;
