//! Rotation of the root key: seals jobs and keyrings anew, then lets the former root go. Data is never touched.

use std::sync::Arc;

use crate::envelope::Context;
use crate::error::Damage;
use crate::error::Error;
use crate::jobs::rotation::KeyJob;
use crate::jobs::rotation::data::MOVES_BYTES_MAX;
use crate::jobs::rotation::data::MOVES_MAX;
use crate::jobs::rotation::progress::finding;
use crate::jobs::rotation::run::Next;
use crate::jobs::rotation::run::Run;
use crate::jobs::rotation::run::note;
use crate::keys::StoreRow;
use crate::keys::root::Roots;
use crate::row::body::CursorSheet;
use crate::row::body::FindingSheet;
use crate::row::body::KeyJobSheet;
use crate::row::body::OnUnreadableSheet;
use crate::row::body::RootSheet;
use crate::row::body::SealedRow;
use crate::row::body::Status;
use crate::row::body::TaskSheet;
use crate::row::key::StoreKeys;
use crate::row::key::parse_key_job;
use crate::row::parse::Place;
use crate::row::parse::parse_tenant;
use crate::row::parse::parse_tenant_row;
use crate::store::Expect;
use crate::store::Key;
use crate::store::KeyRange;
use crate::store::ReadBatch;
use crate::store::Scan;
use crate::store::Versioned;
use crate::store::WriteBatch;
use crate::tenant::open_under_root;
use crate::tenant::row_kind;
use crate::tenant::seal_row;
use crate::verbs::org::Org;

/// What a piece of the walk holds to be done.
#[derive(Default)]
struct Work {
    batch: WriteBatch,
    keys: Vec<Key>,
    findings: Vec<FindingSheet>,
    rows: u64,
    bytes: usize,
}

impl Work {
    fn is_full(&self) -> bool {
        self.keys.len() >= MOVES_MAX || self.bytes >= MOVES_BYTES_MAX
    }
}

impl Run<'_> {
    pub(crate) async fn advance_root(&mut self, mut task: RootSheet) -> Result<Next, Error> {
        let engine = Arc::clone(&self.job.engine);
        let roots = engine.roots.get()?;
        if roots.retiring.is_none() {
            engine.refresh_roots().await?;
            if engine.roots.get()?.retiring.is_some() {
                return Ok(Next::Reload);
            }
            // The former root went with an earlier run: a row that names it is nothing that this job can mend.
            return self.finish(self.sheet.tally.clone()).await;
        }
        let mut work = Work::default();
        let is_over = match task.at.range {
            0 => self.walk_jobs(&roots, &mut task.at, &mut work).await?,
            _ => self.walk_keyrings(&roots, &mut task.at, &mut work).await?,
        };
        task.resealed += work.keys.len() as u64;
        task.failed += work.findings.len() as u64;
        note(&mut task.findings, work.findings);
        let mut sheet = self.sheet.clone();
        sheet.tally.done += if task.first { work.rows } else { 0 };

        if is_over && task.resealed == 0 {
            return self.settle_root(task, sheet).await;
        }
        if is_over {
            task = RootSheet {
                first: false,
                at: CursorSheet::default(),
                resealed: 0,
                failed: 0,
                findings: Vec::new(),
                ..task
            };
        }
        sheet.task = TaskSheet::Root(task);
        if work.keys.is_empty() {
            return self.save(sheet).await;
        }
        let next = self.save_in(work.batch, &roots, sheet).await?;
        // Their rows have other revisions now, and the keys in them are the same: a reader may go on with them, and a
        // writer is spared a lost race.
        engine.caches.forget(work.keys.iter());
        Ok(next)
    }

    /// A whole walk found nothing under the former root: it goes, unless rows that cannot be opened may need it.
    async fn settle_root(&mut self, task: RootSheet, mut sheet: KeyJobSheet) -> Result<Next, Error> {
        sheet.tally.failed = task.failed;
        sheet.tally.findings.clone_from(&task.findings);
        if task.failed > 0 && task.on_unreadable == OnUnreadableSheet::Keep {
            sheet.tally.keys_kept = 1;
            sheet.status = Status::Blocked;
            sheet.task = TaskSheet::Root(task);
            return self.save_now(sheet).await;
        }
        let engine = Arc::clone(&self.job.engine);
        let roots = engine.roots.get()?;
        let row = engine.get(StoreKeys::store_row()).await?;
        let row = row.ok_or_else(|| Error::damaged("the sealed `store` row", Damage::Missing))?;
        let mut store_row = match StoreRow::open_row(&engine.store_id, &roots.active.key, &row) {
            Ok(store_row) => store_row,
            Err(error) => return Err(engine.if_rotated(error).await),
        };
        store_row.sheet.retiring = None;
        let mut batch = WriteBatch::default();
        store_row.put_in(&mut batch, &engine.store_id, &roots.active.key)?;
        sheet.tally.keys_destroyed = 1;
        let next = self.finish_in(batch, sheet.tally).await?;
        engine.refresh_roots().await?;
        Ok(next)
    }

    /// Walks a page of jobs. Answers whether the whole walk is over: it never is here.
    async fn walk_jobs(&self, roots: &Roots, at: &mut CursorSheet, work: &mut Work) -> Result<bool, Error> {
        let range = behind(StoreKeys::all_jobs(), at);
        let page = self.job.engine.scan(range, MOVES_MAX).await?;
        for (key, row) in &page.rows {
            if work.is_full() {
                return Ok(false);
            }
            if *key != StoreKeys::key_job(&self.job.id) {
                self.turn(roots, key, row, work)?;
            }
            at.after = Some(key.as_bytes().to_vec().into());
        }
        *at = at.clone().past(&page);
        Ok(false)
    }

    /// Walks keyrings, of one tenant after the other. Answers whether none is left.
    async fn walk_keyrings(
        &self,
        roots: &Roots,
        at: &mut CursorSheet,
        work: &mut Work,
    ) -> Result<bool, Error> {
        let engine = &self.job.engine;
        for _ in 0..SEEKS_MAX {
            let rest = behind(StoreKeys::tenants(), at);
            let scan = Scan::new(rest, 1).keys_only();
            let mut set = engine.read(&ReadBatch { gets: Vec::new(), scans: vec![scan] }).await?;
            let first = set.scans.pop().and_then(|page| page.rows.into_iter().next());
            let Some((key, _)) = first else { return Ok(true) };
            let Some((org, environment)) = parse_tenant(&key) else {
                at.after = Some(key.as_bytes().to_vec().into());
                continue;
            };
            let keys = &Org::new(Arc::clone(engine), org, environment).tenant.keys;
            if !keys.keyrings().contains(key.as_bytes()) {
                // Keyrings come first among the rows of a tenant: on to the next one. No key is the end itself,
                // since ids hold no control characters.
                let Some(end) = keys.all().end else { return Ok(true) };
                at.after = Some(end.into());
                continue;
            }
            let page = engine.scan(behind(keys.keyrings(), at), MOVES_MAX).await?;
            for (key, row) in &page.rows {
                if work.is_full() {
                    return Ok(false);
                }
                self.turn(roots, key, row, work)?;
                at.after = Some(key.as_bytes().to_vec().into());
            }
        }
        Ok(false)
    }

    /// Seals a row anew if it is under another root than the active one.
    fn turn(&self, roots: &Roots, key: &Key, row: &Versioned, work: &mut Work) -> Result<(), Error> {
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

    fn resealed(&self, roots: &Roots, key: &Key, row: &Versioned) -> Result<Option<Vec<u8>>, Error> {
        let engine = &self.job.engine;
        let turn = |context: &Context<'_>| {
            let opened = open_under_root(roots, context, &row.value)?;
            if is_under(roots, context, &row.value) {
                return Ok(None);
            }
            seal_row(&roots.active.key, context, None, opened.revision, &opened.plaintext).map(Some)
        };
        if let Some(id) = parse_key_job(key) {
            let job = KeyJob { engine: Arc::clone(engine), id };
            return turn(&job.context(id.to_text().as_str()));
        }
        let malformed = || Error::damaged("a row whose key is none of the format's", Damage::Malformed);
        let (org, environment) = parse_tenant(key).ok_or_else(malformed)?;
        let tenant = Org::new(Arc::clone(engine), org, environment).tenant;
        match parse_tenant_row(&tenant.keys, key) {
            Some(Place::Keyring(account)) => turn(&tenant.keyring_context(account.as_ref())),
            Some(Place::Job(id)) => turn(&tenant.job_context(id.to_text().as_str())),
            _ => Err(malformed()),
        }
    }
}

/// Whether the row, which opens, is under the active root.
fn is_under(roots: &Roots, context: &Context<'_>, row: &[u8]) -> bool {
    let sealed = SealedRow::decode(row_kind(context.kind), row).ok();
    let record = sealed.and_then(|sealed| crate::envelope::SealedRecord::parse(sealed.record).ok());
    record.is_some_and(|record| record.dek_id() == *roots.active.key.id())
}

/// What is left of a range.
fn behind(range: KeyRange, at: &CursorSheet) -> KeyRange {
    match &at.after {
        Some(after) => range.after(after),
        None => range,
    }
}

/// How many times one piece of work looks for a next keyring.
const SEEKS_MAX: usize = 64;
