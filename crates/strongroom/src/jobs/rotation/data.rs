//! Rotation of data keys: counts the rows, then rotates the key scopes, many of one org at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::bytes::ByteVec;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::jobs::rotation::group::{Group, remaining, selected_tenant};
use crate::jobs::rotation::progress::finding;
use crate::jobs::rotation::reseal::{open_if_retired, reseal};
use crate::jobs::rotation::run::{Advance, Run, add_findings};
use crate::keys::ScopeKeys;
use crate::row::body::{
    CursorBody, DataKeysBody, DataPhase, FindingBody, JobCounts, KeyJobBody, OnUnreadableBody, PassBody,
    PassScope, Reach, Status, TaskBody,
};
use crate::row::{VaultKeys, is_sealed_by_data_key};
use crate::store::{KeyRange, Page, Scan};
use crate::tenant::{Draft, Tenant, WriteOptions};

/// What one step seals again, in one batch.
struct Resealing<'v> {
    draft: Draft<'v>,
    /// Reads of the store, and rows that were looked at.
    reads: usize,
    seen: usize,
    /// Rows that are sealed again, and their bytes.
    moves: usize,
    bytes: usize,
    /// Rows that are under the active key now.
    done: u64,
}

impl Run<'_> {
    pub(crate) async fn advance_data(&mut self, task: DataKeysBody) -> Result<Advance, Error> {
        let advanced = match task.phase.clone() {
            DataPhase::Count { at, rows } => self.count_page(task, at, rows).await,
            DataPhase::Seek { after } => self.start_next_group(task, after).await,
            DataPhase::Pass(pass) => self.reseal_rows(task, pass).await,
        };
        match advanced {
            // The registration that the job was made for has ended, and its keys are dropped.
            Err(Error::AccountNotFound(_)) => self.finish(self.body.counts.clone()).await,
            advanced => advanced,
        }
    }

    /// The job's body with its task at `phase`.
    fn at(&self, mut task: DataKeysBody, phase: DataPhase) -> KeyJobBody {
        task.phase = phase;
        KeyJobBody { task: TaskBody::DataKeys(task), ..self.body.clone() }
    }

    async fn count_page(&mut self, task: DataKeysBody, at: CursorBody, rows: u64) -> Result<Advance, Error> {
        let ranges = self.selected_ranges(&task)?;
        let Some(range) = remaining(&ranges, &at) else {
            let mut body = self.at(task, DataPhase::Seek { after: None });
            body.counts.total = Some(rows);
            return self.save(body).await;
        };
        let scan = Scan::new(range, COUNT_ROWS).keys_only();
        let page = self.job.engine.read(scan).await?;
        let sealed = page.rows.iter().filter(|(key, _)| is_sealed_by_data_key(key)).count() as u64;
        let phase = DataPhase::Count { at: at.past(&page), rows: rows.saturating_add(sealed) };
        let body = self.at(task, phase);
        self.save(body).await
    }

    fn selected_ranges(&self, task: &DataKeysBody) -> Result<Vec<KeyRange>, Error> {
        let Some((tenant, account)) = selected_tenant(&self.job.engine, task)? else {
            return Ok(vec![VaultKeys::tenants()]);
        };
        Ok(match task.reach {
            Reach::All => vec![tenant.id.all()],
            Reach::Own => tenant.id.sealed_by_data_key(account.as_ref()),
        })
    }

    /// Moves to the next key scopes, and gives a new key to those whose keys are due.
    async fn start_next_group(
        &mut self,
        task: DataKeysBody,
        after: Option<ByteVec>,
    ) -> Result<Advance, Error> {
        let after = after.as_ref().map(|after| after.as_slice());
        let Some(mut group) = Group::next(&self.job.engine, &task, after).await? else {
            return self.finish_or_block(task).await;
        };
        if group.owners.len() > 1
            && let Err(error) = group.read(&group.accounts(), Vec::new()).await
        {
            // One of the keyrings cannot be read, or is older than one seen before, which ends the run once it is
            // alone: the first scope goes alone, and the others follow.
            if !matches!(error, Error::RolledBack { .. }) {
                finding(error)?;
            }
            group.owners.truncate(1);
        }
        let accounts = group.accounts();
        let (view, _) = match group.read(&accounts, Vec::new()).await {
            Ok(read) => read,
            Err(error) if group.owners.len() == 1 => {
                let found = finding(error)?;
                return self.skip_unreadable(task, group.phase_after(), vec![found]).await;
            }
            // It was damaged in between.
            Err(error) => return finding(error).map(|_| Advance::Reload),
        };
        let (mut draft, mut scopes) = (Draft::new(&group.tenant, &view), Vec::new());
        for owner in group.owners.iter().map(Option::as_ref) {
            let keys = view.keys(owner).filter(|keys| keys.keyring.active().is_some());
            let Some(keys) = keys else { continue };
            if draft.bytes() >= MOVES_BYTES_MAX {
                break;
            }
            if task.finish_only && keys.keyring.retired_len() > 0 {
                scopes.push(group.in_pass(owner, keys.revision));
            } else if !task.finish_only && self.is_due(&task, &group.tenant, owner, keys).await? {
                scopes.push(group.in_pass(owner, draft.turn_keys(owner, keys)?));
            }
        }
        let made = if task.finish_only { 0 } else { scopes.len() as u64 };
        let mut body = self.at(task, group.phase_of(PassBody::over(scopes, true)));
        body.counts.keys_made += made;
        if draft.is_empty() { self.save(body).await } else { self.save_with(draft, body).await }
    }

    /// Continues at `phase`, and notes which keyrings cannot be read.
    async fn skip_unreadable(
        &mut self,
        task: DataKeysBody,
        phase: DataPhase,
        found: Vec<FindingBody>,
    ) -> Result<Advance, Error> {
        let mut body = self.at(task, phase);
        body.counts.failed += found.len() as u64;
        add_findings(&mut body.counts.findings, found);
        self.save(body).await
    }

    /// Continues a pass without the scopes whose keyrings cannot be read any more.
    async fn leave_out_unreadable(
        &mut self,
        task: DataKeysBody,
        group: &Group,
        mut pass: PassBody,
    ) -> Result<Advance, Error> {
        let mut lost = BTreeMap::new();
        for (scope, owner) in pass.scopes.iter().zip(&group.owners) {
            if let Err(error) = group.read(owner.as_ref().as_slice(), Vec::new()).await {
                lost.insert(scope.keyring.to_vec(), finding(error)?);
            }
        }
        pass.follow(|scope| (!lost.contains_key(&**scope.keyring)).then_some(scope.revision));
        // The search for the next scopes finds those after the last one that is left, and notes them.
        if let Some(last) = pass.scopes.iter().map(|scope| scope.keyring.to_vec()).max() {
            lost.split_off(&last);
        }
        self.skip_unreadable(task, group.phase_of(pass), lost.into_values().collect()).await
    }

    /// Ends the job after the last scope, or blocks it if old keys were kept.
    async fn finish_or_block(&mut self, task: DataKeysBody) -> Result<Advance, Error> {
        if self.body.counts.failed == 0 || task.on_unreadable == OnUnreadableBody::Destroy {
            return self.finish(self.body.counts.clone()).await;
        }
        let body = KeyJobBody { status: Status::Blocked, ..self.body.clone() };
        self.save_now(body).await
    }

    async fn is_due(
        &self,
        task: &DataKeysBody,
        tenant: &Tenant,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<bool, Error> {
        if task.older_than_ms.is_none() && task.rows_at_least.is_none() {
            return Ok(true);
        }
        let now_ms = self.job.engine.now().as_ms();
        let since_ms = keys.keyring.active_since().map_or(now_ms, Timestamp::as_ms);
        // A key from before a clock was set back may have any age.
        let is_old = |least_ms: u64| now_ms.checked_sub(since_ms).is_none_or(|age_ms| age_ms >= least_ms);
        if task.older_than_ms.is_some_and(is_old) {
            return Ok(true);
        }
        let Some(least) = task.rows_at_least else { return Ok(false) };
        let ranges = tenant.id.sealed_by_data_key(account);
        let (mut rows, mut at) = (0, CursorBody::default());
        while rows < least {
            let Some(range) = remaining(&ranges, &at) else { return Ok(false) };
            let scan = Scan::new(range, COUNT_ROWS).keys_only();
            let page = self.job.engine.read(scan).await?;
            rows += page.rows.len() as u64;
            at = at.past(&page);
        }
        Ok(true)
    }

    /// Seals rows of the scopes again, as many as fit in a batch. Once a complete pass has found nothing to do,
    /// destroys the older keys.
    async fn reseal_rows(&mut self, task: DataKeysBody, mut pass: PassBody) -> Result<Advance, Error> {
        let group = Group::of_pass(&self.job.engine, &task, &pass)?;
        let accounts = group.accounts();
        let (view, _) = match group.read(&accounts, Vec::new()).await {
            Ok(read) => read,
            Err(error) => {
                finding(error)?;
                return self.leave_out_unreadable(task, &group, pass).await;
            }
        };
        let mut owners = group.owners.iter();
        let present = |owner: &Option<LinkedAccountId>| {
            let keys = view.keys(owner.as_ref()).filter(|keys| keys.keyring.active().is_some());
            keys.map(|keys| keys.revision.as_u64())
        };
        // Keys may have been dropped or made meanwhile.
        if pass.follow(|_| owners.next().and_then(present)) {
            let body = self.at(task, group.phase_of(pass));
            return self.save(body).await;
        }
        let mut work = Resealing::new(Draft::new(&group.tenant, &view));
        if !work.fill(&group, &mut pass).await? {
            return Ok(Advance::Reload);
        }
        let Resealing { mut draft, moves, done, .. } = work;
        pass.resealed += moves as u64;
        let mut counts = self.body.counts.clone();
        counts.done += if pass.first { done } else { 0 };

        let is_over = usize::from(pass.scopes_done) == pass.scopes.len();
        let phase = match (is_over, pass.resealed) {
            (false, _) => DataPhase::Pass(pass),
            (true, 0) => {
                add_findings(&mut counts.findings, pass.findings);
                for (scope, owner) in pass.scopes.iter().zip(&group.owners) {
                    let Some(keys) = view.keys(owner.as_ref()) else { continue };
                    destroy_unused_keys(&mut draft, owner.as_ref(), keys, scope.failed, &task, &mut counts)?;
                }
                group.phase_after()
            }
            (true, _) => {
                let again = pass.scopes.into_iter().map(|scope| PassScope { failed: 0, ..scope });
                group.phase_of(PassBody::over(again.collect(), false))
            }
        };
        let body = KeyJobBody { counts, ..self.at(task, phase) };
        if draft.is_empty() { self.save(body).await } else { self.save_with(draft, body).await }
    }
}

impl<'v> Resealing<'v> {
    fn new(draft: Draft<'v>) -> Self {
        Self { draft, reads: 0, seen: 0, moves: 0, bytes: 0, done: 0 }
    }

    /// Reads rows of the scopes and seals them again, as far as there is room. `false` if the keys of a scope are not
    /// those that the batch seals under, or cannot be read now: the next step finds out which.
    async fn fill(&mut self, group: &Group, pass: &mut PassBody) -> Result<bool, Error> {
        while let Some(owner) = group.owners.get(usize::from(pass.scopes_done))
            && self.has_room()
        {
            let owner = owner.as_ref();
            let ranges = group.tenant.id.sealed_by_data_key(owner);
            let scans = pages_from(&ranges, &pass.at);
            if scans.is_empty() {
                pass.scopes_done += 1;
                pass.at = CursorBody::default();
                continue;
            }
            let (view, pages) = match group.read(owner.as_slice(), scans).await {
                Ok(read) => read,
                Err(error) => return finding(error).map(|_| false),
            };
            let began_at = pass.scope().map(|scope| scope.revision);
            let keys = view.keys(owner).filter(|keys| began_at == Some(keys.revision.as_u64()));
            let Some(keys) = keys else { return Ok(false) };
            self.take(&group.tenant, keys, &pages, pass)?;
        }
        Ok(true)
    }

    /// Whether the step may take one more row.
    fn has_room(&self) -> bool {
        // For the row and the keyring of its scope, the job and the `store` row.
        let has_room = self.draft.room(&WriteOptions::default()).is_some_and(|room| room >= 4);
        let is_full = self.moves == MOVES_MAX || self.bytes >= MOVES_BYTES_MAX;
        has_room && !is_full && self.seen < SEEN_MAX && self.reads < READS_MAX
    }

    /// Seals the rows of the pages again, as far as there is room. Moves the pass behind those rows.
    fn take(
        &mut self,
        tenant: &Tenant,
        keys: &Arc<ScopeKeys>,
        pages: &[Page],
        pass: &mut PassBody,
    ) -> Result<(), Error> {
        for page in pages {
            for (key, found) in &page.rows {
                if !self.has_room() {
                    return Ok(());
                }
                self.seen += 1;
                match open_if_retired(tenant, keys, key, found) {
                    Ok(None) => self.done += 1,
                    Ok(Some(older)) => {
                        reseal(&mut self.draft, &older, found)?;
                        self.done += 1;
                        self.moves += 1;
                        self.bytes += key.as_bytes().len() + found.value.len();
                    }
                    Err(error) => {
                        add_findings(&mut pass.findings, [finding(error)?]);
                        pass.scope().into_iter().for_each(|scope| scope.failed += 1);
                    }
                }
                pass.at.after = Some(key.as_bytes().to_vec().into());
            }
            pass.at = std::mem::take(&mut pass.at).past(page);
            if page.more {
                break;
            }
        }
        self.reads += 1;
        Ok(())
    }
}

/// Scans of the ranges from the cursor on, for one read: none after the last range.
fn pages_from(ranges: &[KeyRange], at: &CursorBody) -> Vec<Scan> {
    let first = remaining(ranges, at);
    let others = ranges.iter().skip(usize::from(at.range) + 1).cloned();
    // The rest of a long range fills the page.
    let pages = if at.after.is_some() { 1 } else { PAGES_A_READ };
    first.into_iter().chain(others).take(pages).map(|range| Scan::new(range, PAGE_ROWS)).collect()
}

/// Destroys the old keys of a scope that a complete pass found unused, unless rows that cannot be opened may need them.
fn destroy_unused_keys(
    draft: &mut Draft<'_>,
    account: Option<&LinkedAccountId>,
    keys: &ScopeKeys,
    failed: u64,
    task: &DataKeysBody,
    counts: &mut JobCounts,
) -> Result<(), Error> {
    let retired = keys.keyring.retired_len() as u64;
    counts.failed += failed;
    if failed > 0 && task.on_unreadable == OnUnreadableBody::Keep {
        counts.keys_kept += retired;
        return Ok(());
    }
    if retired > 0 {
        counts.keys_destroyed += retired;
        draft.destroy_retired_keys(account, keys)?;
    }
    Ok(())
}

/// Others wait while a batch is applied: so many rows take some 10 ms.
const MOVES_MAX: usize = 512;
/// With one more row and the job's, a batch stays within 1 MiB.
pub(crate) const MOVES_BYTES_MAX: usize = 768 << 10;
const PAGE_ROWS: usize = 512;
/// An account has so many ranges: if it is small, one read shows all of its rows.
const PAGES_A_READ: usize = 4;
/// A step stays short even if all rows are under the active key already.
const SEEN_MAX: usize = 1_024;
const READS_MAX: usize = 64;
/// Only the keys of rows are read, so a page may hold many.
const COUNT_ROWS: usize = 4_096;
