//! Whole ranges and every definition, as they were at one point in commit order.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::ATTEMPTS_MAX;
use crate::engine::cache::{Cached, Catalog, Definition, Tag};
use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::store::{Key, KeyRange, Page, READ_OPS_MAX, Scan, Versioned};
use crate::tenant::names::read_hint;
use crate::tenant::{Freshness, Needs, Tenant, View};

/// The rows of a range, in key order.
pub(crate) type Rows = Vec<(Key, Versioned)>;

/// The rows of some ranges, and what is needed to open them.
pub(crate) struct Snapshot<'a> {
    pub(crate) view: View<'a>,
    pub(crate) catalog: Catalog,
    /// In the order of the requested ranges.
    pub(crate) ranges: Vec<Rows>,
}

impl Tenant {
    /// Reads whole ranges, in one read of the store unless a range has more than one page.
    pub(crate) async fn snapshot<'a>(
        &self,
        accounts: &'a [&'a LinkedAccountId],
        ranges: &[KeyRange],
        freshness: Freshness,
    ) -> Result<Snapshot<'a>, Error> {
        self.snapshot_with(accounts, ranges, None, freshness).await
    }

    /// The same for a reader of the definitions with these names, if there is a list. Another one that cannot be read
    /// is left out. While there is such a one, each name must lead to a definition that bears it: the one that cannot
    /// be read may bear a name that leads nowhere.
    pub(crate) async fn snapshot_of<'a>(
        &self,
        accounts: &'a [&'a LinkedAccountId],
        ranges: &[KeyRange],
        names: Option<&BTreeSet<String>>,
        freshness: Freshness,
    ) -> Result<Snapshot<'a>, Error> {
        let whole = self.snapshot(accounts, ranges, freshness).await;
        let (Err(error), Some(names)) = (&whole, names) else { return whole };
        if !error.is_damage() && !matches!(error, Error::RolledBack { .. }) {
            return whole;
        }
        let mut ids = self.ids_named(names).await?;
        for _ in 0..ATTEMPTS_MAX {
            let of_names = self.snapshot_with(accounts, ranges, Some(&ids), Freshness::Fresh).await?;
            // Otherwise a definition was renamed meanwhile.
            match self.ids_named(names).await? {
                now if now == ids => {
                    let bears = |name: &String| {
                        of_names.catalog.iter().any(|known| known.stored.definition.name == *name)
                    };
                    return if names.iter().all(bears) { Ok(of_names) } else { whole };
                }
                now => ids = now,
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// The definitions that the index rows of names lead to.
    async fn ids_named(&self, names: &BTreeSet<String>) -> Result<BTreeSet<DefinitionId>, Error> {
        let mut ids = BTreeSet::new();
        let keys: Vec<Key> = names.iter().map(|name| self.id.name_key(name)).collect();
        for keys in keys.chunks(READ_OPS_MAX) {
            let rows = self.engine.read(keys.to_vec()).await?;
            for row in rows.iter().flatten() {
                ids.insert(read_hint(row)?);
            }
        }
        Ok(ids)
    }

    /// Reads whole ranges and the definitions with these ids, or all.
    async fn snapshot_with<'a>(
        &self,
        accounts: &'a [&'a LinkedAccountId],
        ranges: &[KeyRange],
        ids: Option<&BTreeSet<DefinitionId>>,
        freshness: Freshness,
    ) -> Result<Snapshot<'a>, Error> {
        let mut freshness = freshness;
        for _ in 0..ATTEMPTS_MAX {
            let needs = Needs::org_keys().accounts(accounts).freshness(freshness);
            // Before the catalog is read, so that a later commit shows.
            let moment = self.engine.caches.moment();
            let cached = self.cached_catalog(freshness).filter(|_| ids.is_none());
            let mut wanted = ranges.to_vec();
            if cached.is_none() {
                wanted.push(self.id.definitions());
            }
            let scans: Vec<Scan> =
                wanted.iter().map(|range| Scan::new(range.clone(), SCAN_ROWS_MAX)).collect();
            let (view, pages) = self.read(&needs, scans).await?;
            let overflows = pages.iter().any(|page| page.more);
            let changed = !self.engine.caches.still(moment);
            // The catalog is older than the rows, or more pages follow, so that it cannot be checked against them.
            if cached.as_ref().is_some_and(|(_, tag)| changed || *tag != view.tag || overflows) {
                freshness = Freshness::Fresh;
                continue;
            }
            // Something changed between the pages: read all of them again.
            let Some(mut rows) = self.complete(&wanted, pages).await? else { continue };
            let known = usize::from(cached.is_some());
            self.engine.caches.counts.add(Cached::Catalogs, known, 1 - known);
            let catalog = match cached {
                Some((catalog, _)) => catalog,
                None => self.open_catalog(&view, &rows.pop().unwrap_or_default(), ids)?,
            };
            return Ok(Snapshot { view, catalog, ranges: rows });
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// All definitions.
    pub(crate) async fn catalog(&self) -> Result<Catalog, Error> {
        Ok(self.snapshot(&[], &[], Freshness::Cached).await?.catalog)
    }

    fn cached_catalog(&self, freshness: Freshness) -> Option<(Catalog, Tag)> {
        if freshness != Freshness::Cached || self.engine.caches.are_changing() {
            return None;
        }
        let tables = self.engine.caches.tables();
        let cached = tables.catalogs.get(self.id.epoch().key().as_bytes());
        cached.map(|(catalog, tag)| (Arc::clone(catalog), tag))
    }

    /// Opens the definitions with these ids, or all, except those cached from this very row.
    fn open_catalog(
        &self,
        view: &View<'_>,
        rows: &Rows,
        ids: Option<&BTreeSet<DefinitionId>>,
    ) -> Result<Catalog, Error> {
        let prefix_len = self.id.definitions().start.len();
        let mut catalog = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            if view.is_shredded() {
                break;
            }
            if let Some(definition) = self.known_definition(key, row) {
                catalog.push(definition);
                continue;
            }
            let id = key.as_bytes().get(prefix_len..).and_then(DefinitionId::from_bytes);
            // Not the key of a definition: `verify` reports it, and one such row does not hide the rest.
            let Some(id) = id.filter(|id| ids.is_none_or(|ids| ids.contains(id))) else { continue };
            if let Some(definition) = self.open_definition(view.keys(None), id, row, view.moment)? {
                catalog.push(Arc::new(definition));
            }
        }
        let catalog = Arc::new(catalog);
        if ids.is_some() {
            return Ok(catalog);
        }
        let (key, kept) = (self.id.epoch().key(), Arc::clone(&catalog));
        let caches = &self.engine.caches;
        caches.insert(view.moment, |tables| tables.catalogs.insert(key, kept, view.tag));
        Ok(catalog)
    }

    /// The definition in this very row, if it was opened before.
    pub(crate) fn known_definition(&self, key: &Key, row: &Versioned) -> Option<Arc<Definition>> {
        let tables = self.engine.caches.tables();
        let known = tables.definitions.get(key.as_bytes()).map(|(definition, _)| definition);
        known.filter(|definition| definition.row_revision == row.revision).map(Arc::clone)
    }

    /// Completes the first pages of `ranges`, which are from one read. `None` if something changed in between.
    ///
    /// Usually nothing is left to read. Otherwise reads the rest page by page, and then the keys and revisions of all
    /// rows again. If they match the collected rows, those are a snapshot. Where even the keys fill more than a page,
    /// which takes thousands of rows that wait to be swept, a row that came and went between two pages is not noticed.
    async fn complete(&self, ranges: &[KeyRange], first: Vec<Page>) -> Result<Option<Vec<Rows>>, Error> {
        let overflows = first.iter().any(|page| page.more);
        let mut collected = Vec::with_capacity(ranges.len());
        for (range, page) in ranges.iter().zip(first) {
            collected.push(self.rest(range, page).await?);
        }
        if overflows && !self.still_holds(ranges, &collected).await? {
            return Ok(None);
        }
        Ok(Some(collected))
    }

    /// The rows of a range whose first page was read.
    pub(crate) async fn rest(&self, range: &KeyRange, page: Page) -> Result<Rows, Error> {
        let Page { mut rows, mut more } = page;
        while let (true, Some((last, _))) = (more, rows.last()) {
            let mut page = self.engine.scan(range.clone().after(last.as_bytes()), SCAN_ROWS_MAX).await?;
            more = page.more;
            rows.append(&mut page.rows);
        }
        Ok(rows)
    }

    /// Whether there is a row in any of these ranges.
    pub(crate) async fn has_rows(&self, ranges: impl IntoIterator<Item = KeyRange>) -> Result<bool, Error> {
        let scans: Vec<_> = ranges.into_iter().map(|range| Scan::new(range, 1).keys_only()).collect();
        Ok(self.engine.read(scans).await?.iter().any(|page| !page.rows.is_empty()))
    }

    async fn still_holds(&self, ranges: &[KeyRange], collected: &[Rows]) -> Result<bool, Error> {
        let scans: Vec<Scan> =
            ranges.iter().map(|range| Scan::new(range.clone(), SCAN_ROWS_MAX).keys_only()).collect();
        let pages = self.engine.read(scans).await?;
        for ((range, rows), mut page) in ranges.iter().zip(collected).zip(pages) {
            let mut left = rows.as_slice();
            loop {
                let Some((known, others)) = left.split_at_checked(page.rows.len()) else { return Ok(false) };
                let differs = |((key, row), (place, before)): (&(Key, Versioned), &(Key, Versioned))| {
                    key != place || row.revision != before.revision
                };
                if page.rows.iter().zip(known).any(differs) {
                    return Ok(false);
                }
                left = others;
                let Some((last, _)) = page.rows.last().filter(|_| page.more) else { break };
                let rest = range.clone().after(last.as_bytes());
                page = self.engine.read(Scan::new(rest, SCAN_ROWS_MAX).keys_only()).await?;
            }
            if !left.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The definition with this id.
pub(crate) fn find_definition<'c>(catalog: &'c Catalog, id: &DefinitionId) -> Option<&'c Arc<Definition>> {
    let index = catalog.binary_search_by_key(id, |definition| definition.stored.id).ok()?;
    catalog.get(index)
}

/// More rows than a scope or catalog holds, unless many wait to be swept. So usually only the store's limit on bytes
/// ends a page early.
const SCAN_ROWS_MAX: usize = 8_192;
