//! Rotation of the root key: seals jobs and keyrings again, then drops the former root. Values are not touched.

use std::sync::Arc;

use crate::error::{Damage, Error};
use crate::jobs::rotation::data::MOVES_BYTES_MAX;
use crate::jobs::rotation::progress::finding;
use crate::jobs::rotation::run::{Advance, Run, add_findings};
use crate::keys::{Document, Keyring, Roots, StoreRow, open_under_root, seal, sealing_key_id};
use crate::row::body::{CursorBody, FindingBody, KeyJobBody, OnUnreadableBody, RootBody, Status, TaskBody};
use crate::row::{Row, SealedBy, TenantId, TenantRow, VaultKeys, VaultRow};
use crate::store::{Expect, Key, KeyRange, Scan, Versioned, WriteBatch};

/// The result of one step: the rows to write, and what was found.
#[derive(Default)]
struct ResealBatch {
    batch: WriteBatch,
    keys: Vec<Key>,
    findings: Vec<FindingBody>,
    rows: u64,
    bytes: usize,
}

impl ResealBatch {
    fn is_full(&self) -> bool {
        self.keys.len() >= MOVES_MAX || self.bytes >= MOVES_BYTES_MAX
    }
}

impl Run<'_> {
    pub(crate) async fn advance_root(&mut self, mut task: RootBody) -> Result<Advance, Error> {
        let engine = Arc::clone(&self.job.engine);
        let roots = engine.roots.get()?;
        if roots.retiring.is_none() {
            engine.refresh_roots().await?;
            if engine.roots.get()?.retiring.is_some() {
                return Ok(Advance::Reload);
            }
            // An earlier run dropped the former root. If a row still names that root, this job cannot repair it.
            return self.finish(self.body.counts.clone()).await;
        }
        let mut work = ResealBatch::default();
        let is_over = match task.at.range {
            0 => self.reseal_jobs(&roots, &mut task.at, &mut work).await?,
            _ => self.reseal_keyrings(&roots, &mut task.at, &mut work).await?,
        };
        task.resealed += work.keys.len() as u64;
        task.failed += work.findings.len() as u64;
        add_findings(&mut task.findings, work.findings);
        let mut body = self.body.clone();
        body.counts.done += if task.first { work.rows } else { 0 };

        if is_over && task.resealed == 0 {
            return self.drop_former_root(task, body).await;
        }
        if is_over {
            task = RootBody {
                first: false,
                at: CursorBody::default(),
                resealed: 0,
                failed: 0,
                findings: Vec::new(),
                ..task
            };
        }
        body.task = TaskBody::Root(task);
        if work.keys.is_empty() {
            return self.save(body).await;
        }
        let next = self.save_in(work.batch, &roots, body).await?;
        // The rows have new revisions but hold the same keys. Forgetting them saves the next writer a lost race. A
        // reader that still uses the old entry is correct.
        engine.caches.forget(work.keys.iter());
        Ok(next)
    }

    /// Drops the former root after a complete pass found nothing under it, unless rows that cannot be opened may need
    /// it.
    async fn drop_former_root(&mut self, task: RootBody, mut body: KeyJobBody) -> Result<Advance, Error> {
        body.counts.failed = task.failed;
        body.counts.findings.clone_from(&task.findings);
        if task.failed > 0 && task.on_unreadable == OnUnreadableBody::Keep {
            body.counts.keys_kept = 1;
            body.status = Status::Blocked;
            body.task = TaskBody::Root(task);
            return self.save_now(body).await;
        }
        let engine = Arc::clone(&self.job.engine);
        let (roots, moment) = (engine.roots.get()?, engine.caches.moment());
        let row = engine.get(VaultRow::Store.key()).await?;
        let row = row.ok_or_else(|| Error::damaged("the sealed `store` row", Damage::Missing))?;
        let mut store_row = match StoreRow::open(&engine.store_id, &roots.active.key, &row) {
            Ok(store_row) => store_row,
            Err(error) => return Err(engine.if_rotated(error).await),
        };
        engine.caches.refuse_older(&Row::Vault(VaultRow::Store), store_row.revision, moment)?;
        store_row.body.retiring = None;
        let mut batch = WriteBatch::default();
        store_row.put_in(&mut batch, &engine.store_id, &roots.active.key)?;
        body.counts.keys_destroyed = 1;
        let next = self.finish_in(batch, body.counts).await?;
        engine.refresh_roots().await?;
        Ok(next)
    }

    /// Seals a page of jobs again. Returns whether the pass is over, which it never is here.
    async fn reseal_jobs(
        &self,
        roots: &Roots,
        at: &mut CursorBody,
        work: &mut ResealBatch,
    ) -> Result<bool, Error> {
        let range = remaining(VaultKeys::all_jobs(), at);
        let page = self.job.engine.scan(range, MOVES_MAX).await?;
        for (key, row) in &page.rows {
            if work.is_full() {
                return Ok(false);
            }
            if *key != VaultRow::KeyJob(self.job.id).key() {
                self.reseal_row(roots, key, row, work)?;
            }
            at.after = Some(key.as_bytes().to_vec().into());
        }
        *at = at.clone().past(&page);
        Ok(false)
    }

    /// Seals keyrings again, tenant by tenant. Returns whether none is left.
    async fn reseal_keyrings(
        &self,
        roots: &Roots,
        at: &mut CursorBody,
        work: &mut ResealBatch,
    ) -> Result<bool, Error> {
        let engine = &self.job.engine;
        for _ in 0..SEEKS_MAX {
            let rest = remaining(VaultKeys::tenants(), at);
            let scan = Scan::new(rest, 1).keys_only();
            let first = engine.read(scan).await?.rows.into_iter().next();
            let Some((key, _)) = first else { return Ok(true) };
            let Some(keys) = TenantId::of_key(&key) else {
                // A key that is not in the format: there is no tenant to skip over, only this row.
                at.after = Some(key.as_bytes().to_vec().into());
                continue;
            };
            if !keys.is_behind_keyrings(&key) && !keys.keyrings().contains(key.as_bytes()) {
                // None of the format's rows. Keyrings may follow.
                at.after = Some(key.as_bytes().to_vec().into());
                continue;
            }
            if keys.is_behind_keyrings(&key) {
                // Keyrings are the first rows of a tenant: go to the next tenant. No row has this very key, since ids
                // hold no control characters.
                let Some(end) = keys.all().end else { return Ok(true) };
                at.after = Some(end.into());
                continue;
            }
            let page = engine.scan(remaining(keys.keyrings(), at), MOVES_MAX).await?;
            for (key, row) in &page.rows {
                if work.is_full() {
                    return Ok(false);
                }
                self.reseal_row(roots, key, row, work)?;
                at.after = Some(key.as_bytes().to_vec().into());
            }
        }
        Ok(false)
    }

    /// Seals a row again if it is under another root than the active one.
    fn reseal_row(
        &self,
        roots: &Roots,
        key: &Key,
        row: &Versioned,
        work: &mut ResealBatch,
    ) -> Result<(), Error> {
        match self.resealed(roots, key, row) {
            Ok(None) => work.rows += 1,
            Ok(Some(bytes)) => {
                work.rows += 1;
                work.bytes += key.as_bytes().len() + bytes.len();
                work.batch.expect(key.clone(), Expect::Revision(row.revision));
                work.batch.put(key.clone(), bytes);
                work.keys.push(key.clone());
            }
            Err(error) => work.findings.push(finding(error)?),
        }
        Ok(())
    }

    fn resealed(&self, roots: &Roots, key: &Key, found: &Versioned) -> Result<Option<Vec<u8>>, Error> {
        let tenant = TenantId::of_key(key);
        let row = match &tenant {
            Some(tenant) => tenant.parse(key),
            None => VaultRow::parse(key).map(Row::Vault),
        };
        let Some(row) = row.filter(|row| row.sealed_by() == SealedBy::Root) else {
            return Err(Error::damaged("a row whose key is none of the format's", Damage::Malformed));
        };
        let store_id = &self.job.engine.store_id;
        let opened = open_under_root(roots, store_id, &row, &found.value)?;
        // A keyring that the store put back does not bring a shredded key under the new root.
        if let Row::Tenant(_, TenantRow::Keyring(_)) = &row {
            let keyring =
                Keyring::decode(&opened.plaintext).map_err(|error| Error::content(row.name(), error))?;
            if let Some(keyring) = roots.without_shredded(&row, opened.revision, &keyring) {
                let document =
                    Document { id: None, revision: opened.revision.next(), body: &keyring.encode() };
                return seal(&roots.active.key, store_id, &row, &document).map(Some);
            }
        }
        if sealing_key_id(&row, &found.value) == Some(*roots.active.key.id()) {
            return Ok(None);
        }
        seal(&roots.active.key, store_id, &row, &opened.as_document()).map(Some)
    }
}

/// What remains of a range.
fn remaining(range: KeyRange, at: &CursorBody) -> KeyRange {
    match &at.after {
        Some(after) => range.after(after),
        None => range,
    }
}

/// How many times one step looks for the next keyring, so that a step stays short in a store of many tenants.
const SEEKS_MAX: usize = 64;

/// With the rows of the job and the `store` row, a batch stays within 100 operations.
const MOVES_MAX: usize = 96;
