//! Rotation of data keys: counts the rows, then takes one key scope after the other.

use std::sync::Arc;

use minicbor::bytes::ByteVec;

use super::reseal::Opened;
use crate::error::Damage;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::jobs::rotation::progress::finding;
use crate::jobs::rotation::reseal::Turn;
use crate::jobs::rotation::reseal::is_sealed;
use crate::jobs::rotation::reseal::ranges;
use crate::jobs::rotation::run::Next;
use crate::jobs::rotation::run::Run;
use crate::jobs::rotation::run::note;
use crate::row::body::CursorSheet;
use crate::row::body::DataKeysSheet;
use crate::row::body::DataPhase;
use crate::row::body::FindingSheet;
use crate::row::body::KeyJobSheet;
use crate::row::body::OnUnreadableSheet;
use crate::row::body::PassSheet;
use crate::row::body::Reach;
use crate::row::body::Status;
use crate::row::body::Tally;
use crate::row::body::TaskSheet;
use crate::row::key::StoreKeys;
use crate::row::parse::Place;
use crate::row::parse::parse_tenant;
use crate::row::parse::parse_tenant_row;
use crate::store::Key;
use crate::store::KeyRange;
use crate::store::Page;
use crate::store::ReadBatch;
use crate::store::Scan;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::Ground;
use crate::tenant::Needs;
use crate::tenant::ScopeKeys;
use crate::tenant::Tenant;
use crate::verbs::org::Org;

/// A key scope that a rotation comes to.
struct KeyScope {
    tenant: Arc<Tenant>,
    account: Option<LinkedAccountId>,
    /// The key of its keyring.
    keyring: Key,
}

/// What one page of a walk holds to be done.
#[derive(Default)]
struct Work<'r> {
    moves: Vec<(&'r Key, &'r Versioned, Opened)>,
    findings: Vec<FindingSheet>,
    done: u64,
}

impl Run<'_> {
    pub(crate) async fn advance_data(&mut self, task: DataKeysSheet) -> Result<Next, Error> {
        match task.phase.clone() {
            DataPhase::Count { at, rows } => self.count(task, at, rows).await,
            DataPhase::Seek { after } => self.seek(task, after).await,
            DataPhase::Pass(pass) => self.pass(task, pass).await,
        }
    }

    /// The job with its task at `phase`.
    fn at(&self, mut task: DataKeysSheet, phase: DataPhase) -> KeyJobSheet {
        task.phase = phase;
        KeyJobSheet { task: TaskSheet::DataKeys(task), ..self.sheet.clone() }
    }

    async fn count(&mut self, task: DataKeysSheet, at: CursorSheet, rows: u64) -> Result<Next, Error> {
        let ranges = self.selected_ranges(&task)?;
        let Some(range) = rest(&ranges, &at) else {
            let mut sheet = self.at(task, DataPhase::Seek { after: None });
            sheet.tally.total = Some(rows);
            return self.save(sheet).await;
        };
        let scan = Scan::new(range, COUNT_ROWS).keys_only();
        let mut set = self.job.engine.read(&ReadBatch { gets: Vec::new(), scans: vec![scan] }).await?;
        let page = set.scans.pop().unwrap_or_default();
        let sealed = page.rows.iter().filter(|(key, _)| is_sealed(key)).count() as u64;
        let phase = DataPhase::Count { at: at.past(&page), rows: rows.saturating_add(sealed) };
        let sheet = self.at(task, phase);
        self.save(sheet).await
    }

    fn selected_ranges(&self, task: &DataKeysSheet) -> Result<Vec<KeyRange>, Error> {
        let Some((org, account)) = self.named(task)? else { return Ok(vec![StoreKeys::tenants()]) };
        let keys = &org.tenant.keys;
        Ok(match task.reach {
            Reach::All => vec![keys.all()],
            Reach::Own => ranges(keys, account.as_ref()),
        })
    }

    /// The org and account that the job names; `None` when it is about every org.
    fn named(&self, task: &DataKeysSheet) -> Result<Option<(Org, Option<LinkedAccountId>)>, Error> {
        let malformed = || Error::damaged("a job row", Damage::Malformed);
        let (Some(org), Some(environment)) = (&task.org, &task.environment) else { return Ok(None) };
        let org = org.parse().map_err(|_| malformed())?;
        let environment = environment.parse().map_err(|_| malformed())?;
        let account = task.account.as_deref().map(str::parse).transpose().map_err(|_| malformed())?;
        Ok(Some((Org::new(Arc::clone(&self.job.engine), org, environment), account)))
    }

    /// Comes to the next key scope, and gives it a new key if the old one is due.
    async fn seek(&mut self, task: DataKeysSheet, after: Option<ByteVec>) -> Result<Next, Error> {
        let Some(scope) = self.next_scope(&task, after).await? else { return self.end(task).await };
        let account = scope.account.as_ref();
        let ground = match scope.read(account.as_slice(), Vec::new()).await {
            Ok((ground, _)) => ground,
            Err(error) => return self.leave_unreadable(task, &scope, error).await,
        };
        let keys = ground.keys(account).filter(|keys| keys.keyring.active().is_some());
        let Some(keys) = keys else { return self.leave(task, &scope).await };
        if task.finish_only {
            if keys.keyring.retired_len() == 0 {
                return self.leave(task, &scope).await;
            }
            let phase = DataPhase::Pass(scope.pass(keys.revision.as_u64(), true));
            let sheet = self.at(task, phase);
            return self.save(sheet).await;
        }
        if !self.is_due(&task, &scope, keys).await? {
            return self.leave(task, &scope).await;
        }
        let mut draft = Draft::new(&scope.tenant, &ground);
        let revision = draft.turn_keys(account, keys)?;
        let mut sheet = self.at(task, DataPhase::Pass(scope.pass(revision.as_u64(), true)));
        sheet.tally.keys_made += 1;
        self.save_with(draft, sheet).await
    }

    /// Nothing is to be done for a scope.
    async fn leave(&mut self, task: DataKeysSheet, scope: &KeyScope) -> Result<Next, Error> {
        let sheet = self.at(task, scope.behind());
        self.save(sheet).await
    }

    /// A scope cannot be gone through, since its keys cannot be read.
    async fn leave_unreadable(
        &mut self,
        task: DataKeysSheet,
        scope: &KeyScope,
        error: Error,
    ) -> Result<Next, Error> {
        let found = finding(error)?;
        let mut sheet = self.at(task, scope.behind());
        sheet.tally.failed += 1;
        note(&mut sheet.tally.findings, [found]);
        self.save(sheet).await
    }

    /// No scope is left.
    async fn end(&mut self, task: DataKeysSheet) -> Result<Next, Error> {
        if self.sheet.tally.failed == 0 || task.on_unreadable == OnUnreadableSheet::Destroy {
            return self.finish(self.sheet.tally.clone()).await;
        }
        let sheet = KeyJobSheet { status: Status::Blocked, ..self.sheet.clone() };
        self.save_now(sheet).await
    }

    async fn is_due(&self, task: &DataKeysSheet, scope: &KeyScope, keys: &ScopeKeys) -> Result<bool, Error> {
        if task.older_than_ms.is_none() && task.rows_at_least.is_none() {
            return Ok(true);
        }
        let now_ms = self.job.engine.now().as_ms();
        let age_ms = keys.keyring.active_since().map_or(0, |since| now_ms.saturating_sub(since.as_ms()));
        if task.older_than_ms.is_some_and(|least| age_ms >= least) {
            return Ok(true);
        }
        let Some(least) = task.rows_at_least else { return Ok(false) };
        let ranges = ranges(&scope.tenant.keys, scope.account.as_ref());
        let (mut rows, mut at) = (0, CursorSheet::default());
        while rows < least {
            let Some(range) = rest(&ranges, &at) else { return Ok(false) };
            let scan = Scan::new(range, COUNT_ROWS).keys_only();
            let mut set = self.job.engine.read(&ReadBatch { gets: Vec::new(), scans: vec![scan] }).await?;
            let page = set.scans.pop().unwrap_or_default();
            rows += page.rows.len() as u64;
            at = at.past(&page);
        }
        Ok(true)
    }

    /// The first key scope of the selection whose keyring comes after `after`.
    async fn next_scope(
        &self,
        task: &DataKeysSheet,
        after: Option<ByteVec>,
    ) -> Result<Option<KeyScope>, Error> {
        let engine = &self.job.engine;
        let named = self.named(task)?;
        if let (Some((org, account)), Reach::Own) = (&named, task.reach) {
            let keyring = org.tenant.keys.keyring(account.as_ref());
            let scope = KeyScope { tenant: Arc::clone(&org.tenant), account: account.clone(), keyring };
            return Ok(after.is_none().then_some(scope));
        }
        let mut rest = match &named {
            Some((org, _)) => org.tenant.keys.keyrings(),
            None => StoreKeys::tenants(),
        };
        if let Some(after) = &after {
            rest = rest.after(after);
        }
        loop {
            let scan = Scan::new(rest.clone(), 1).keys_only();
            let mut set = engine.read(&ReadBatch { gets: Vec::new(), scans: vec![scan] }).await?;
            let page = set.scans.pop().unwrap_or_default();
            let Some((key, _)) = page.rows.into_iter().next() else { return Ok(None) };
            let Some((org, environment)) = parse_tenant(&key) else {
                rest = rest.after(key.as_bytes());
                continue;
            };
            let tenant = Org::new(Arc::clone(engine), org, environment).tenant;
            if let Some(Place::Keyring(account)) = parse_tenant_row(&tenant.keys, &key) {
                return Ok(Some(KeyScope { tenant, account, keyring: key }));
            }
            // Keyrings come first among the rows of a tenant: on to the next one.
            rest = match tenant.keys.all().end {
                Some(end) => KeyRange { start: rest.start.max(end), end: rest.end },
                None => return Ok(None),
            };
        }
    }

    /// Seals one page of a scope's rows anew, and settles the scope once a whole walk found nothing to do.
    async fn pass(&mut self, task: DataKeysSheet, mut pass: PassSheet) -> Result<Next, Error> {
        let scope = self.scope_of(&pass)?;
        let account = scope.account.as_ref();
        let ranges = ranges(&scope.tenant.keys, account);
        let scans: Vec<_> =
            rest(&ranges, &pass.at).map(|range| Scan::new(range, PAGE_ROWS)).into_iter().collect();
        let (ground, page) = match scope.read(account.as_slice(), scans).await {
            Ok(read) => read,
            Err(error) => return self.leave_unreadable(task, &scope, error).await,
        };
        let keys = ground.keys(account).filter(|keys| keys.keyring.active().is_some());
        let Some(keys) = keys else { return self.leave(task, &scope).await };
        if keys.revision.as_u64() != pass.revision {
            // Keys were dropped or made meanwhile: only a walk from here on tells what is under an old one.
            let sheet = self.at(task, DataPhase::Pass(scope.pass(keys.revision.as_u64(), pass.first)));
            return self.save(sheet).await;
        }
        let work = Work::of(&scope.tenant, keys, &page, &mut pass.at)?;
        let mut draft = Draft::new(&scope.tenant, &ground);
        for (key, row, opened) in &work.moves {
            draft.reseal(key, row, opened)?;
        }
        pass.resealed += work.moves.len() as u64;
        pass.failed += work.findings.len() as u64;
        note(&mut pass.findings, work.findings);
        let mut tally = self.sheet.tally.clone();
        tally.done += if pass.first { work.done } else { 0 };

        let is_over = rest(&ranges, &pass.at).is_none();
        let phase = match (is_over, pass.resealed) {
            (false, _) => DataPhase::Pass(pass),
            (true, 0) => {
                settle(&mut draft, account, keys, &task, &pass, &mut tally)?;
                scope.behind()
            }
            (true, _) => DataPhase::Pass(scope.pass(pass.revision, false)),
        };
        let sheet = KeyJobSheet { tally, ..self.at(task, phase) };
        if draft.is_empty() { self.save(sheet).await } else { self.save_with(draft, sheet).await }
    }

    fn scope_of(&self, pass: &PassSheet) -> Result<KeyScope, Error> {
        let keyring = Key::from(pass.keyring.to_vec());
        let tenant = parse_tenant(&keyring)
            .map(|(org, environment)| Org::new(Arc::clone(&self.job.engine), org, environment).tenant);
        if let Some(tenant) = tenant
            && let Some(Place::Keyring(account)) = parse_tenant_row(&tenant.keys, &keyring)
        {
            return Ok(KeyScope { tenant, account, keyring });
        }
        Err(Error::damaged("a job row", Damage::Malformed))
    }
}

impl KeyScope {
    /// The keys of the scope and a page of its rows, in one read.
    async fn read<'a>(
        &self,
        owner: &'a [&'a LinkedAccountId],
        scans: Vec<Scan>,
    ) -> Result<(Ground<'a>, Page), Error> {
        let needs = Needs::org_keys().accounts(owner);
        let (ground, mut set) = self.tenant.read(&needs, ReadBatch { gets: Vec::new(), scans }).await?;
        Ok((ground, set.scans.pop().unwrap_or_default()))
    }

    /// A walk from the start.
    fn pass(&self, revision: u64, first: bool) -> PassSheet {
        PassSheet {
            keyring: self.keyring.as_bytes().to_vec().into(),
            revision,
            at: CursorSheet::default(),
            resealed: 0,
            failed: 0,
            first,
            findings: Vec::new(),
        }
    }

    /// Where to look for the next scope.
    fn behind(&self) -> DataPhase {
        DataPhase::Seek { after: Some(self.keyring.as_bytes().to_vec().into()) }
    }
}

impl<'r> Work<'r> {
    /// What is to be done with the rows of a page, as far as one batch holds it. Moves `at` past them.
    fn of(
        tenant: &Tenant,
        keys: &Arc<ScopeKeys>,
        page: &'r Page,
        at: &mut CursorSheet,
    ) -> Result<Self, Error> {
        let (mut work, mut bytes) = (Self::default(), 0);
        for (key, row) in &page.rows {
            if work.moves.len() == MOVES_MAX || bytes >= MOVES_BYTES_MAX {
                return Ok(work);
            }
            match tenant.turn_row(keys, key, row) {
                Ok(Turn::Stays) => work.done += 1,
                Ok(Turn::Moves(opened)) => {
                    work.done += 1;
                    bytes += key.as_bytes().len() + row.value.len();
                    work.moves.push((key, row, opened));
                }
                Err(error) => work.findings.push(finding(error)?),
            }
            at.after = Some(key.as_bytes().to_vec().into());
        }
        *at = at.clone().past(page);
        Ok(work)
    }
}

/// Destroys the old keys of a scope that a whole walk found unused, unless rows that cannot be opened may need them.
fn settle(
    draft: &mut Draft<'_>,
    account: Option<&LinkedAccountId>,
    keys: &ScopeKeys,
    task: &DataKeysSheet,
    pass: &PassSheet,
    tally: &mut Tally,
) -> Result<(), Error> {
    let retired = keys.keyring.retired_len() as u64;
    tally.failed += pass.failed;
    note(&mut tally.findings, pass.findings.iter().cloned());
    if pass.failed > 0 && task.on_unreadable == OnUnreadableSheet::Keep {
        tally.keys_kept += retired;
        return Ok(());
    }
    if retired > 0 {
        tally.keys_destroyed += retired;
        draft.destroy_retired_keys(account, keys)?;
    }
    Ok(())
}

/// What is left of the range at which a walk stands; `None` at its end.
fn rest(ranges: &[KeyRange], at: &CursorSheet) -> Option<KeyRange> {
    let range = ranges.get(usize::from(at.range))?.clone();
    Some(match &at.after {
        Some(after) => range.after(after),
        None => range,
    })
}

/// With the job's row, the keyring's and the epoch's, a batch stays within 100 operations.
pub(crate) const MOVES_MAX: usize = 96;
/// With one row more and the job's, a batch stays within 1 MiB.
pub(crate) const MOVES_BYTES_MAX: usize = 768 << 10;
const PAGE_ROWS: usize = 512;
const COUNT_ROWS: usize = 4_096;
