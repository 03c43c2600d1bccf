//! Rotation of data keys: counts the rows, then rotates one key scope after the other.

use std::sync::Arc;

use minicbor::bytes::ByteVec;

use crate::error::{Damage, Error};
use crate::id::{DocumentId, LinkedAccountId};
use crate::jobs::rotation::progress::finding;
use crate::jobs::rotation::reseal::{RetiredRow, open_if_retired, reseal};
use crate::jobs::rotation::run::{Advance, Run, add_findings};
use crate::keys::ScopeKeys;
use crate::row::body::{
    CursorBody, DataKeysBody, DataPhase, FindingBody, JobCounts, KeyJobBody, OnUnreadableBody, PassBody,
    Reach, Status, TaskBody,
};
use crate::row::{TenantId, VaultKeys, is_sealed_by_data_key};
use crate::store::{Key, KeyRange, Page, Scan, Versioned};
use crate::tenant::{Draft, Needs, Registration, Tenant, View};

/// A key scope to rotate.
struct KeyScope {
    tenant: Tenant,
    account: Option<LinkedAccountId>,
    /// The one registration of the account whose keys are meant.
    registration: Option<Registration>,
    /// The key of its keyring's row.
    keyring: Key,
}

/// The work on one page of rows.
#[derive(Default)]
struct PageToReseal<'r> {
    moves: Vec<(&'r Versioned, RetiredRow<'r>)>,
    findings: Vec<FindingBody>,
    done: u64,
}

impl Run<'_> {
    pub(crate) async fn advance_data(&mut self, task: DataKeysBody) -> Result<Advance, Error> {
        let advanced = match task.phase.clone() {
            DataPhase::Count { at, rows } => self.count_page(task, at, rows).await,
            DataPhase::Seek { after } => self.start_next_scope(task, after).await,
            DataPhase::Pass(pass) => self.reseal_page(task, pass).await,
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
        let Some((tenant, account)) = self.selected_tenant(task)? else {
            return Ok(vec![VaultKeys::tenants()]);
        };
        Ok(match task.reach {
            Reach::All => vec![tenant.id.all()],
            Reach::Own => tenant.id.sealed_by_data_key(account.as_ref()),
        })
    }

    /// The org and account that the job is limited to; `None` if it covers every org.
    fn selected_tenant(
        &self,
        task: &DataKeysBody,
    ) -> Result<Option<(Tenant, Option<LinkedAccountId>)>, Error> {
        let malformed = || Error::damaged("a job row", Damage::Malformed);
        let (Some(org), Some(environment)) = (&task.org, &task.environment) else { return Ok(None) };
        let org = org.parse().map_err(|_| malformed())?;
        let environment = environment.parse().map_err(|_| malformed())?;
        let account = task.account.as_deref().map(str::parse).transpose().map_err(|_| malformed())?;
        Ok(Some((Tenant::new(Arc::clone(&self.job.engine), org, environment), account)))
    }

    /// Moves to the next key scope, and gives it a new key if the old one is due.
    async fn start_next_scope(
        &mut self,
        task: DataKeysBody,
        after: Option<ByteVec>,
    ) -> Result<Advance, Error> {
        let Some(scope) = self.next_scope(&task, after).await? else {
            return self.finish_or_block(task).await;
        };
        let account = scope.account.as_ref();
        let view = match scope.read(account.as_slice(), Vec::new()).await {
            Ok((view, _)) => view,
            Err(error) => return self.skip_unreadable(task, &scope, error).await,
        };
        let keys = view.keys(account).filter(|keys| keys.keyring.active().is_some());
        let Some(keys) = keys else { return self.skip(task, &scope).await };
        if task.finish_only {
            if keys.keyring.retired_len() == 0 {
                return self.skip(task, &scope).await;
            }
            let phase = DataPhase::Pass(scope.first_page(keys.revision.as_u64(), true));
            let body = self.at(task, phase);
            return self.save(body).await;
        }
        if !self.is_due(&task, &scope, keys).await? {
            return self.skip(task, &scope).await;
        }
        let mut draft = Draft::new(&scope.tenant, &view);
        let revision = draft.turn_keys(account, keys)?;
        let mut body = self.at(task, DataPhase::Pass(scope.first_page(revision.as_u64(), true)));
        body.counts.keys_made += 1;
        self.save_with(draft, body).await
    }

    /// Moves on to the next scope: there is nothing to do for this one.
    async fn skip(&mut self, task: DataKeysBody, scope: &KeyScope) -> Result<Advance, Error> {
        let body = self.at(task, scope.phase_after());
        self.save(body).await
    }

    /// Moves on to the next scope, and notes that the keys of this one cannot be read.
    async fn skip_unreadable(
        &mut self,
        task: DataKeysBody,
        scope: &KeyScope,
        error: Error,
    ) -> Result<Advance, Error> {
        let found = finding(error)?;
        let mut body = self.at(task, scope.phase_after());
        body.counts.failed += 1;
        add_findings(&mut body.counts.findings, [found]);
        self.save(body).await
    }

    /// Ends the job after the last scope, or blocks it if old keys were kept.
    async fn finish_or_block(&mut self, task: DataKeysBody) -> Result<Advance, Error> {
        if self.body.counts.failed == 0 || task.on_unreadable == OnUnreadableBody::Destroy {
            return self.finish(self.body.counts.clone()).await;
        }
        let body = KeyJobBody { status: Status::Blocked, ..self.body.clone() };
        self.save_now(body).await
    }

    async fn is_due(&self, task: &DataKeysBody, scope: &KeyScope, keys: &ScopeKeys) -> Result<bool, Error> {
        if task.older_than_ms.is_none() && task.rows_at_least.is_none() {
            return Ok(true);
        }
        let now_ms = self.job.engine.now().as_ms();
        let age_ms = keys.keyring.active_since().map_or(0, |since| now_ms.saturating_sub(since.as_ms()));
        if task.older_than_ms.is_some_and(|least| age_ms >= least) {
            return Ok(true);
        }
        let Some(least) = task.rows_at_least else { return Ok(false) };
        let ranges = scope.tenant.id.sealed_by_data_key(scope.account.as_ref());
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

    /// The first selected key scope whose keyring comes after `after`.
    async fn next_scope(
        &self,
        task: &DataKeysBody,
        after: Option<ByteVec>,
    ) -> Result<Option<KeyScope>, Error> {
        let engine = &self.job.engine;
        let named = self.selected_tenant(task)?;
        if let (Some((tenant, account)), Reach::Own) = (named, task.reach) {
            let keyring = tenant.id.keyring(account.as_ref()).key();
            let registration = registration_of(task, account.as_ref());
            return Ok(after.is_none().then_some(KeyScope { tenant, account, registration, keyring }));
        }
        let mut rest = match self.selected_tenant(task)? {
            Some((tenant, _)) => tenant.id.keyrings(),
            None => VaultKeys::tenants(),
        };
        if let Some(after) = &after {
            rest = rest.after(after);
        }
        loop {
            let scan = Scan::new(rest.clone(), 1).keys_only();
            let page = engine.read(scan).await?;
            let Some((key, _)) = page.rows.into_iter().next() else { return Ok(None) };
            let Some(id) = TenantId::of_key(&key) else {
                // A key that is not in the format: there is no tenant to skip over, only this row.
                rest = rest.after(key.as_bytes());
                continue;
            };
            if let Some(account) = id.parse_keyring(&key) {
                let tenant = Tenant::of(Arc::clone(engine), id);
                return Ok(Some(KeyScope { tenant, account, registration: None, keyring: key }));
            }
            // Keyrings are the first rows of a tenant, so it has no more: go to the next tenant.
            rest = match id.all().end {
                Some(end) => KeyRange { start: rest.start.max(end), end: rest.end },
                None => return Ok(None),
            };
        }
    }

    /// Seals one page of a scope's rows again. Once a complete pass has found nothing to do, destroys the older keys.
    async fn reseal_page(&mut self, task: DataKeysBody, mut pass: PassBody) -> Result<Advance, Error> {
        let scope = self.scope_of(&task, &pass)?;
        let account = scope.account.as_ref();
        let ranges = scope.tenant.id.sealed_by_data_key(account);
        let scans: Vec<_> =
            remaining(&ranges, &pass.at).map(|range| Scan::new(range, PAGE_ROWS)).into_iter().collect();
        let (view, page) = match scope.read(account.as_slice(), scans).await {
            Ok(read) => read,
            Err(error) => return self.skip_unreadable(task, &scope, error).await,
        };
        let keys = view.keys(account).filter(|keys| keys.keyring.active().is_some());
        let Some(keys) = keys else { return self.skip(task, &scope).await };
        if keys.revision.as_u64() != pass.revision {
            // Keys were dropped or made meanwhile: only a pass that starts now can show which rows are under an old
            // one.
            let body = self.at(task, DataPhase::Pass(scope.first_page(keys.revision.as_u64(), pass.first)));
            return self.save(body).await;
        }
        let work = PageToReseal::of(&scope.tenant, keys, &page, &mut pass.at)?;
        let mut draft = Draft::new(&scope.tenant, &view);
        for (found, older) in &work.moves {
            reseal(&mut draft, older, found)?;
        }
        pass.resealed += work.moves.len() as u64;
        pass.failed += work.findings.len() as u64;
        add_findings(&mut pass.findings, work.findings);
        let mut counts = self.body.counts.clone();
        counts.done += if pass.first { work.done } else { 0 };

        let is_over = remaining(&ranges, &pass.at).is_none();
        let phase = match (is_over, pass.resealed) {
            (false, _) => DataPhase::Pass(pass),
            (true, 0) => {
                destroy_unused_keys(&mut draft, account, keys, &task, &pass, &mut counts)?;
                scope.phase_after()
            }
            (true, _) => DataPhase::Pass(scope.first_page(pass.revision, false)),
        };
        let body = KeyJobBody { counts, ..self.at(task, phase) };
        if draft.is_empty() { self.save(body).await } else { self.save_with(draft, body).await }
    }

    fn scope_of(&self, task: &DataKeysBody, pass: &PassBody) -> Result<KeyScope, Error> {
        let keyring = Key::from(pass.keyring.to_vec());
        if let Some(id) = TenantId::of_key(&keyring)
            && let Some(account) = id.parse_keyring(&keyring)
        {
            let tenant = Tenant::of(Arc::clone(&self.job.engine), id);
            let registration = registration_of(task, account.as_ref());
            return Ok(KeyScope { tenant, account, registration, keyring });
        }
        Err(Error::damaged("a job row", Damage::Malformed))
    }
}

impl KeyScope {
    /// Reads the keys of the scope and a page of its rows in one snapshot. Returns [`Error::AccountNotFound`] once the
    /// registration has ended.
    async fn read<'a>(
        &self,
        owner: &'a [&'a LinkedAccountId],
        scans: Vec<Scan>,
    ) -> Result<(View<'a>, Page), Error> {
        let needs = Needs::org_keys().accounts(owner);
        let (view, mut pages) = self.tenant.read(&needs, scans).await?;
        if let Some(registration) = &self.registration {
            // After the keys were read. A delete that comes later changes the keyring, which every batch expects.
            self.tenant.refuse_ended(registration).await?;
        }
        Ok((view, pages.pop().unwrap_or_default()))
    }

    /// A pass over the scope, at its first row.
    fn first_page(&self, revision: u64, first: bool) -> PassBody {
        PassBody {
            keyring: self.keyring.as_bytes().to_vec().into(),
            revision,
            at: CursorBody::default(),
            resealed: 0,
            failed: 0,
            first,
            findings: Vec::new(),
        }
    }

    /// The phase that looks for the scope after this one.
    fn phase_after(&self) -> DataPhase {
        DataPhase::Seek { after: Some(self.keyring.as_bytes().to_vec().into()) }
    }
}

impl<'r> PageToReseal<'r> {
    /// The work for the rows of a page, as much as fits in one batch. Moves `at` past those rows.
    fn of(
        tenant: &'r Tenant,
        keys: &Arc<ScopeKeys>,
        page: &'r Page,
        at: &mut CursorBody,
    ) -> Result<Self, Error> {
        let (mut work, mut bytes) = (Self::default(), 0);
        for (key, found) in &page.rows {
            if work.moves.len() == MOVES_MAX || bytes >= MOVES_BYTES_MAX {
                return Ok(work);
            }
            match open_if_retired(tenant, keys, key, found) {
                Ok(None) => work.done += 1,
                Ok(Some(older)) => {
                    work.done += 1;
                    bytes += key.as_bytes().len() + found.value.len();
                    work.moves.push((found, older));
                }
                Err(error) => work.findings.push(finding(error)?),
            }
            at.after = Some(key.as_bytes().to_vec().into());
        }
        *at = at.clone().past(page);
        Ok(work)
    }
}

/// Destroys the old keys of a scope that a complete pass found unused, unless rows that cannot be opened may need them.
fn destroy_unused_keys(
    draft: &mut Draft<'_>,
    account: Option<&LinkedAccountId>,
    keys: &ScopeKeys,
    task: &DataKeysBody,
    pass: &PassBody,
    counts: &mut JobCounts,
) -> Result<(), Error> {
    let retired = keys.keyring.retired_len() as u64;
    counts.failed += pass.failed;
    add_findings(&mut counts.findings, pass.findings.iter().cloned());
    if pass.failed > 0 && task.on_unreadable == OnUnreadableBody::Keep {
        counts.keys_kept += retired;
        return Ok(());
    }
    if retired > 0 {
        counts.keys_destroyed += retired;
        draft.destroy_retired_keys(account, keys)?;
    }
    Ok(())
}

fn registration_of(task: &DataKeysBody, account: Option<&LinkedAccountId>) -> Option<Registration> {
    let id = DocumentId::from_bytes(&task.registration?);
    Some(Registration { account: account?.clone(), id })
}

/// The rest of the range that the cursor is in; `None` after the last range.
fn remaining(ranges: &[KeyRange], at: &CursorBody) -> Option<KeyRange> {
    let range = ranges.get(usize::from(at.range))?.clone();
    Some(match &at.after {
        Some(after) => range.after(after),
        None => range,
    })
}

/// With the rows of the job, the keyring and the epoch, a batch stays within 100 operations.
pub(crate) const MOVES_MAX: usize = 96;
/// With one more row and the job's, a batch stays within 1 MiB.
pub(crate) const MOVES_BYTES_MAX: usize = 768 << 10;
/// More than one batch moves: often most rows of a page are already under the active key.
const PAGE_ROWS: usize = 512;
/// Only the keys of rows are read, so a page may hold many.
const COUNT_ROWS: usize = 4_096;
