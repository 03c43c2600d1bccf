//! Shreds an org in one environment.
//!
//! The first batch drops the org's keys and writes a job. From then on every row of the tenant counts as absent,
//! including rows under the keys of its accounts: an org without an active key has no account with one. The job then
//! drops the keys of the accounts, notes the shred in the `store` row and deletes the rows. Its id is fixed, so that
//! whoever creates the org's next key finds the job and finishes it first. So nothing new gets in the way of the sweep,
//! and nothing new is sealed under an old key.

use crate::engine::ATTEMPTS_MAX;
use crate::engine::cache::Moment;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::jobs::shred::note_shredded;
use crate::keys::{Floor, ScopeKeys};
use crate::model::Revision;
use crate::row::body::Sweep;
use crate::store::{Key, KeyRange, Page, RowRevision, Scan, Versioned};
use crate::tenant::job::SHRED_JOB;
use crate::tenant::{Attempt, Draft, Freshness, Needs, Tenant, View};

/// Drops the org's keys and writes the job, even if the store shows nothing of the org: it may withhold it. Returns the
/// revision of the org's keyring, below which nothing of the org counts any more.
pub(crate) async fn begin_shred(tenant: &Tenant, freshness: Freshness) -> Result<Attempt<Revision>, Error> {
    let (job, keyring) = (tenant.id.job(&SHRED_JOB).key(), tenant.id.keyring(None).key());
    let moment = tenant.engine.caches.moment();
    let (view, job, lost) = match tenant.read(&Needs::org_keys().freshness(freshness), [job.clone()]).await {
        Ok((view, [job])) => (view, job, None),
        // Nobody can open the keyring, so everything of the org is lost already.
        Err(error) if freshness.is_lost(&error) => {
            let [job, row] = tenant.engine.read([job, keyring.clone()]).await?;
            let row = row.ok_or(error)?;
            if opened_keyring(tenant, &keyring, &row, moment).await?.is_some() {
                return Ok(Attempt::AGAIN);
            }
            (tenant.view_of(None, &[], None), job, Some(row))
        }
        Err(error) => return Err(error),
    };
    let mut draft = Draft::new(tenant, &view);
    draft.put_job_as(&SHRED_JOB, &Sweep::Org, job.map(|row| row.revision))?;
    let revision = match &lost {
        Some(read) => draft.leave_no_lost_keys(None, read)?,
        None => draft.leave_no_keys(None)?,
    };
    Ok(draft.commit().await?.map(|_| revision))
}

/// Finishes a shred of the org that was interrupted. Returns whether there was one: if so, `view` is out of date.
pub(crate) async fn finish_shred(tenant: &Tenant, view: &View<'_>) -> Result<bool, Error> {
    if !tenant.has_unfinished_shred(view).await? {
        return Ok(false);
    }
    sweep_org(tenant).await.map(|()| true)
}

/// Runs the job of a shred to its end. If its row changed, the root was rotated or the org was shredded again: either
/// way the sweep starts over.
pub(crate) async fn sweep_org(tenant: &Tenant) -> Result<(), Error> {
    let key = tenant.id.job(&SHRED_JOB).key();
    for _ in 0..ATTEMPTS_MAX {
        let keyring = tenant.id.keyring(None).key();
        let moment = tenant.engine.caches.moment();
        let [job, org] = tenant.engine.read([key.clone(), keyring.clone()]).await?;
        let Some(job) = job else { return Ok(()) };
        let org_row = org.as_ref().map(|row| row.revision);
        let sweeper =
            OrgSweeper { tenant, job: key.clone(), job_row: job.revision, org: (keyring.clone(), org_row) };
        let keys = match &org {
            Some(row) => Some(
                opened_keyring(tenant, &keyring, row, moment)
                    .await?
                    .ok_or_else(|| Error::damaged(tenant.id.keyring(None).name(), Damage::Rejected))?,
            ),
            None => None,
        };
        // A job sweeps what its own shred left. If the org has a key, or never had one, a hostile store has put back a
        // job that was finished.
        let is_over = match keys {
            Some(keys) if keys.keyring.active().is_none() => sweeper.run(keys.revision).await?,
            Some(_) | None => sweeper.drop_job().await?,
        };
        if is_over {
            return Ok(());
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

/// The ids of all dropped keys of the org and its accounts.
pub(crate) async fn dropped_keys(tenant: &Tenant) -> Result<Vec<DekId>, Error> {
    let (mut keys, mut rest) = (Vec::new(), tenant.id.keyrings());
    loop {
        let moment = tenant.engine.caches.moment();
        let page = tenant.engine.scan(rest.clone(), PAGE_ROWS).await?;
        for (key, row) in &page.rows {
            if let Some(opened) = opened_keyring(tenant, key, row, moment).await? {
                keys.extend(opened.keyring.dropped().copied());
            }
        }
        let Some(next) = remaining(rest, &page) else { break };
        rest = next;
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Opens the row of a keyring; `None` if nobody can open it.
pub(crate) async fn opened_keyring(
    tenant: &Tenant,
    key: &Key,
    row: &Versioned,
    moment: Moment,
) -> Result<Option<ScopeKeys>, Error> {
    let Some(owner) = tenant.id.parse_keyring(key) else { return Ok(None) };
    let open = |row: &Versioned| tenant.open_keyring(owner.as_ref(), row, moment);
    let opened = match open(row) {
        Err(Error::UnknownKey { .. }) => tenant.engine.read_under_root(key, open).await,
        opened => opened.map(|keys| Some((keys, row.revision))),
    };
    match opened {
        Ok(opened) => Ok(opened.map(|(keys, _)| keys)),
        Err(error) => match tenant.engine.if_rotated(error).await {
            Error::Damaged { .. } | Error::UnknownKey { .. } => Ok(None),
            error => Err(error),
        },
    }
}

/// One run of the job. Every batch expects the job's row as this run read it; once that row differs, the run is over.
struct OrgSweeper<'t> {
    tenant: &'t Tenant,
    job: Key,
    job_row: RowRevision,
    /// The org's keyring, which every batch expects: as long as it has no active key, everything of the org is to be
    /// deleted.
    org: (Key, Option<RowRevision>),
}

impl OrgSweeper<'_> {
    /// Returns whether the job is done; `false` if its row changed meanwhile. Nothing of the org counts below the
    /// revision of its keyring.
    async fn run(&self, revision: Revision) -> Result<bool, Error> {
        let tenant_id = &self.tenant.id;
        Ok(self.drop_keyrings().await?
            && self.note(revision).await?
            && self.sweep(tenant_id.jobs()).await?
            && self.sweep(tenant_id.shredded()).await?
            && self.finish().await?)
    }

    /// Drops the keys of the accounts. A keyring that nobody can open is replaced by an empty one.
    async fn drop_keyrings(&self) -> Result<bool, Error> {
        let view = self.tenant.view_of(None, &[], None);
        let mut rest = self.tenant.id.keyrings();
        loop {
            let moment = self.tenant.engine.caches.moment();
            let Some(page) = self.read(Scan::new(rest.clone(), PAGE_ROWS)).await? else { return Ok(false) };
            let mut draft = Draft::new(self.tenant, &view);
            for (key, row) in &page.rows {
                match opened_keyring(self.tenant, key, row, moment).await? {
                    // Its keys were dropped before, by this run or an earlier one.
                    Some(keys) if keys.keyring.ids().next().is_none() => {}
                    Some(keys) => {
                        let Some(owner) = self.tenant.id.parse_keyring(key) else {
                            // This cannot happen: only a keyring whose key names an owner was opened.
                            continue;
                        };
                        draft.drop_keys(owner.as_ref(), &keys)?;
                    }
                    None => draft.replace_unreadable_keyring(key, row)?,
                }
            }
            if !draft.is_empty() && !self.commit(draft).await? {
                // A keyring or the job's row changed since it was read: read the page again.
                continue;
            }
            let Some(next) = remaining(rest, &page) else { return Ok(true) };
            rest = next;
        }
    }

    /// Notes the shred in the `store` row, whoever runs the job. Only once all keys are dropped, since the note makes
    /// earlier keyrings count as dropped although their rows still hold keys.
    async fn note(&self, revision: Revision) -> Result<bool, Error> {
        let keys = dropped_keys(self.tenant).await?;
        let floor = Floor::of(&self.tenant.id.keyring(None), revision);
        match note_shredded(&self.tenant.engine, &keys, floor).await {
            // There is no room for the note, but that is no reason to keep the rows. `Org::shred` tries again and
            // reports it; a shred that anyone else finishes stays without a note.
            Ok(_) | Err(Error::TooLong { .. }) => self.is_ours().await,
            Err(error) => Err(error),
        }
    }

    /// Deletes the rows of a range, except for the job's. No writer adds a row meanwhile: its batch would expect a key
    /// that was dropped, or first finish this job.
    async fn sweep(&self, range: KeyRange) -> Result<bool, Error> {
        let view = self.tenant.view_of(None, &[], None);
        let mut rest = range;
        loop {
            let scan = Scan::new(rest.clone(), PAGE_ROWS).keys_only();
            let Some(page) = self.read(scan).await? else { return Ok(false) };
            let mut draft = Draft::new(self.tenant, &view);
            for (key, _) in page.rows.iter().filter(|(key, _)| *key != self.job) {
                draft.delete(key.clone());
            }
            if !draft.is_empty() {
                draft.bump_epoch();
                if !self.commit(draft).await? {
                    // Read again: that ends the run if the job's row or the org's keyring changed.
                    continue;
                }
            }
            let Some(next) = remaining(rest, &page) else { return Ok(true) };
            rest = next;
        }
    }

    /// Deletes the job's row together with the count of definitions.
    async fn finish(&self) -> Result<bool, Error> {
        let view = self.tenant.view_of(None, &[], None);
        for _ in 0..ATTEMPTS_MAX {
            let mut draft = Draft::new(self.tenant, &view);
            draft.delete(self.tenant.id.count().key());
            draft.delete(self.job.clone());
            // Rows were deleted without being read. Nobody adds any before the job's row is gone.
            self.tenant.engine.tallies.forget(self.tenant.id.prefix());
            if self.commit(draft).await? {
                return Ok(true);
            }
            if !self.is_ours().await? {
                return Ok(false);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Deletes only the job.
    async fn drop_job(&self) -> Result<bool, Error> {
        let view = self.tenant.view_of(None, &[], None);
        let mut draft = Draft::new(self.tenant, &view);
        draft.delete(self.job.clone());
        self.commit(draft).await
    }

    /// Reads a page; `None` if the job's row or the org's keyring is no longer the one that this run read.
    async fn read(&self, scan: Scan) -> Result<Option<Page>, Error> {
        let gets = [self.job.clone(), self.org.0.clone()];
        let ([job, org], [page]) = self.tenant.engine.read((gets, [scan])).await?;
        let is_ours =
            (job.map(|row| row.revision), org.map(|row| row.revision)) == (Some(self.job_row), self.org.1);
        Ok(is_ours.then_some(page))
    }

    async fn is_ours(&self) -> Result<bool, Error> {
        let [job, org] = self.tenant.engine.read([self.job.clone(), self.org.0.clone()]).await?;
        Ok((job.map(|row| row.revision), org.map(|row| row.revision)) == (Some(self.job_row), self.org.1))
    }

    async fn commit(&self, mut draft: Draft<'_>) -> Result<bool, Error> {
        draft.expect_as_read(self.job.clone(), Some(self.job_row));
        draft.expect_as_read(self.org.0.clone(), self.org.1);
        Ok(draft.commit().await?.is_landed())
    }
}

fn remaining(range: KeyRange, page: &Page) -> Option<KeyRange> {
    let (last, _) = page.rows.last().filter(|_| page.more)?;
    Some(range.after(last.as_bytes()))
}

/// How many rows one batch drops or deletes: with what it expects, it stays within 100 operations.
const PAGE_ROWS: usize = 32;
