//! How much orgs and accounts store: as it was counted, and what this engine has written since.
//!
//! There is no row for it. A row that every write changes would make the writers of one org wait for one another, and
//! on a store that is not trusted it would have to be checked anyway. So the rows themselves are counted, once per
//! engine, and again if others may have written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::cache::Tag;
use crate::engine::cache::table::Table;
use crate::limits::{Quota, Quotas};
use crate::model::Usage;
use crate::row::Counted;
use crate::store::{Key, KeyRange};

/// The tallies of one engine.
pub(crate) struct Tallies {
    pub(crate) quotas: Quotas,
    by_holder: Mutex<Table<Arc<Tally>>>,
}

impl Tallies {
    pub(crate) fn new(quotas: Quotas, entries_max: usize) -> Self {
        Self { quotas, by_holder: Mutex::new(Table::new(entries_max)) }
    }

    /// Whether there is nothing to count for.
    pub(crate) fn are_off(&self) -> bool {
        self.quotas == Quotas::unlimited()
    }

    /// The tally of an org or account, if it has one.
    pub(crate) fn get(&self, holder: &Key) -> Option<Arc<Tally>> {
        self.table().get(holder.as_bytes()).map(|(tally, _)| Arc::clone(tally))
    }

    /// The tally of an org or account, to which `quotas` apply. If it has none, a new one that has counted nothing yet.
    pub(crate) fn of(&self, holder: Key, quotas: &'static [Quota]) -> Arc<Tally> {
        let mut table = self.table();
        if let Some((tally, _)) = table.get(holder.as_bytes()) {
            return Arc::clone(tally);
        }
        let tally = Arc::new(Tally { quotas, ..Tally::default() });
        table.insert(holder, Arc::clone(&tally), Tag::Sole);
        tally
    }

    /// Drops all tallies of a tenant, because rows came or went that were not counted.
    pub(crate) fn forget(&self, tenant_prefix: &[u8]) {
        self.table().retain(|holder, _| !holder.as_bytes().starts_with(tenant_prefix));
    }

    fn table(&self) -> MutexGuard<'_, Table<Arc<Tally>>> {
        self.by_holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much one org or account stores.
#[derive(Default)]
pub(crate) struct Tally {
    quotas: &'static [Quota],
    count: Mutex<Count>,
    /// Whether a batch may have landed or not, so that `stored` may be too high.
    unsure: AtomicBool,
    /// Whether rows were deleted that nobody measured, so that `stored` is too high.
    blind: AtomicBool,
}

#[derive(Default)]
struct Count {
    /// What is stored; before the first count, what is known of it.
    stored: Amounts,
    is_counted: bool,
    counted_at_ms: u64,
    /// What this engine has added since the last count was begun.
    added: Amounts,
    /// All that was ever reserved and not given back.
    reserved: Amounts,
    /// The count that is under way.
    walk: Option<Walk>,
    /// How many counts are over.
    counts: u64,
}

/// A count that is continued bit by bit.
#[derive(Clone)]
pub(crate) struct Walk {
    /// The ranges that are not counted yet, in key order.
    pub(crate) rest: Vec<KeyRange>,
    pub(crate) found: Amounts,
}

impl Walk {
    pub(crate) fn new(ranges: Vec<KeyRange>) -> Self {
        Self { rest: ranges, found: Amounts::default() }
    }

    fn has_passed(&self, key: &Key) -> bool {
        !self.rest.iter().any(|range| range.contains(key.as_bytes()))
    }
}

/// The result of a step of a count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// The count is not finished.
    On,
    /// Another writer counted these rows.
    ByAnother,
    /// The count is over.
    Over,
}

/// How a batch changes what one org or account stores.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) total: Amounts,
    /// The part of it that may be refused.
    pub(crate) asked: Amounts,
    /// The rows that it changes.
    pub(crate) rows: Vec<(Key, Amounts)>,
}

impl Tally {
    /// Counts as counted: nothing is stored yet.
    pub(crate) fn start_empty(&self) {
        self.count().is_counted = true;
    }

    /// Whether the rows have to be counted before `asked` is added: they never were, or others may have added as much
    /// as this engine has.
    pub(crate) fn is_due(&self, quotas: &Quotas, asked: &Amounts, shared: bool) -> bool {
        let count = self.count();
        let blind = |quota: &Quota| {
            let asked = asked.of(*quota);
            asked > 0 && count.added.of(*quota).saturating_add(asked) > quotas.max(*quota) / BLIND
        };
        !count.is_counted || count.walk.is_some() || (shared && self.quotas.iter().any(blind))
    }

    /// Whether a refusal should be checked by counting again. This engine knows what it wrote itself. It does not know
    /// what others deleted, and looks for that once a second.
    pub(crate) fn may_be_high(&self, now: Timestamp, shared: bool) -> bool {
        // A clock that was set back says nothing about the age of the count.
        let age_ms = now.as_ms().checked_sub(self.count().counted_at_ms);
        let is_old = age_ms.is_none_or(|age_ms| u128::from(age_ms) >= RECOUNT_AFTER.as_millis());
        // Relaxed: it is only a hint that counting may help, and the count is under a lock.
        let may_differ = shared || self.blind.load(Ordering::Relaxed);
        self.unsure.load(Ordering::Relaxed) || (may_differ && is_old)
    }

    /// Notes that a batch deletes rows that nobody measured.
    pub(crate) fn deletes_blindly(&self) {
        // Relaxed: it is only a hint that counting may help.
        self.blind.store(true, Ordering::Relaxed);
    }

    /// What was reserved until now, for [`counted`](Self::counted).
    pub(crate) fn begin(&self) -> Amounts {
        // Relaxed: a caller that becomes unsure from now on sets it again.
        self.unsure.store(false, Ordering::Relaxed);
        self.blind.store(false, Ordering::Relaxed);
        let mut count = self.count();
        count.added = Amounts::default();
        count.reserved
    }

    /// Takes over a whole count that was begun when `reserved` was reserved.
    pub(crate) fn counted(&self, found: Amounts, reserved: Amounts, now: Timestamp) {
        let mut count = self.count();
        // Reserved meanwhile, so the count may or may not include it. Too high is the safe side.
        let meanwhile = count.reserved.minus(&reserved);
        if meanwhile != Amounts::default() {
            self.unsure.store(true, Ordering::Relaxed);
        }
        count.finish(found.plus(&meanwhile.increase()), now);
    }

    /// The count that is under way, or a new one of `ranges`.
    pub(crate) fn walk(&self, ranges: impl FnOnce() -> Vec<KeyRange>) -> Walk {
        let mut count = self.count();
        if count.walk.is_none() {
            count.added = Amounts::default();
        }
        count.walk.get_or_insert_with(|| Walk::new(ranges())).clone()
    }

    /// Advances the count under way from `before` to `after`, unless another writer did so first.
    pub(crate) fn walked(&self, before: &Walk, after: Walk, now: Timestamp) -> Walked {
        let mut count = self.count();
        let Some(walk) = &mut count.walk else { return Walked::Over };
        if walk.rest != before.rest {
            return Walked::ByAnother;
        }
        // What was reserved meanwhile behind `before` was added to `found`, and must stay in it.
        walk.found = walk.found.plus(&after.found.minus(&before.found));
        walk.rest = after.rest;
        if !walk.rest.is_empty() {
            return Walked::On;
        }
        let found = walk.found;
        count.walk = None;
        count.finish(found, now);
        // Relaxed: a caller that becomes unsure from now on sets it again.
        self.unsure.store(false, Ordering::Relaxed);
        self.blind.store(false, Ordering::Relaxed);
        Walked::Over
    }

    /// Reserves what a batch changes, or says which quota refuses it.
    pub(crate) fn reserve(self: &Arc<Self>, quotas: &Quotas, change: &Change) -> Result<Reservation, Quota> {
        let mut count = self.count();
        let stored = count.known().plus(&change.total);
        let is_over = |quota: &Quota| change.asked.of(*quota) > 0 && stored.of(*quota) > quotas.max(*quota);
        if let Some(quota) = self.quotas.iter().copied().find(is_over) {
            return Err(quota);
        }
        count.stored = count.stored.plus(&change.total);
        count.reserved = count.reserved.plus(&change.total);
        count.added = count.added.plus(&change.total.increase());
        let mut behind = Amounts::default();
        if let Some(walk) = &mut count.walk {
            let passed = change.rows.iter().filter(|(key, _)| walk.has_passed(key));
            behind = passed.fold(behind, |sum, (_, amounts)| sum.plus(amounts));
            walk.found = walk.found.plus(&behind);
        }
        Ok(Reservation {
            tally: Arc::clone(self),
            total: change.total,
            behind,
            counts: count.counts,
            is_settled: false,
        })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// What is stored, as far as it is known.
    fn known(&self) -> Amounts {
        match &self.walk {
            Some(walk) if !self.is_counted => walk.found.at_least(&self.stored),
            _ => self.stored,
        }
    }

    fn finish(&mut self, found: Amounts, now: Timestamp) {
        self.stored = found;
        self.is_counted = true;
        self.counted_at_ms = now.as_ms();
        self.counts += 1;
    }
}

/// What a batch in flight changes. If dropped unsettled, it stays reserved: nobody knows whether the batch landed.
pub(crate) struct Reservation {
    tally: Arc<Tally>,
    total: Amounts,
    /// The part that the count under way has passed.
    behind: Amounts,
    counts: u64,
    is_settled: bool,
}

impl Reservation {
    /// The batch landed.
    pub(crate) fn landed(mut self) {
        self.is_settled = true;
    }

    /// The batch did not land: gives back what was reserved.
    pub(crate) fn give_back(mut self) {
        let mut count = self.tally.count();
        count.reserved = count.reserved.minus(&self.total);
        // A count finished meanwhile, so `stored` no longer holds what was reserved, or only part of it.
        if count.counts != self.counts {
            return;
        }
        count.stored = count.stored.minus(&self.total);
        if let Some(walk) = &mut count.walk {
            walk.found = walk.found.minus(&self.behind);
        }
        drop(count);
        self.is_settled = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_settled {
            // It only makes the next count come sooner, so it orders nothing.
            self.tally.unsure.store(true, Ordering::Relaxed);
        }
    }
}

/// Numbers of rows, and bytes; or how they change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    accounts: i64,
    values: i64,
    workflow_values: i64,
    integrations: i64,
    credentials: i64,
    bytes: i64,
}

impl Amounts {
    /// `rows` rows of one kind, with `bytes` bytes in all.
    pub(crate) fn of_rows(counted: Counted, rows: i64, bytes: i64) -> Self {
        let none = Self { bytes, ..Self::default() };
        match counted {
            Counted::OrgValue | Counted::AccountValue => Self { values: rows, ..none },
            Counted::WorkflowValue => Self { values: rows, workflow_values: rows, ..none },
            Counted::Account => Self { accounts: rows, ..none },
            Counted::Integration => Self { integrations: rows, ..none },
            Counted::Credential => Self { credentials: rows, ..none },
            Counted::History => none,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.try_into().unwrap_or(0)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, i64::saturating_add)
    }

    fn minus(&self, other: &Self) -> Self {
        self.with(other, i64::saturating_sub)
    }

    fn at_least(&self, other: &Self) -> Self {
        self.with(other, i64::max)
    }

    /// What grows; nothing for what shrinks.
    fn increase(&self) -> Self {
        self.at_least(&Self::default())
    }

    /// What `quota` limits. A tally that is off by what was in flight may be below zero.
    fn of(&self, quota: Quota) -> u64 {
        let amount = match quota {
            Quota::AccountValues => self.values,
            Quota::AccountCredentials => self.credentials,
            Quota::AccountIntegrations => self.integrations,
            Quota::AccountBytes | Quota::OrgBytes => self.bytes,
            Quota::OrgAccounts => self.accounts,
            Quota::OrgWorkflowValues => self.workflow_values,
        };
        amount.try_into().unwrap_or(0)
    }

    fn with(&self, other: &Self, combine: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            accounts: combine(self.accounts, other.accounts),
            values: combine(self.values, other.values),
            workflow_values: combine(self.workflow_values, other.workflow_values),
            integrations: combine(self.integrations, other.integrations),
            credentials: combine(self.credentials, other.credentials),
            bytes: combine(self.bytes, other.bytes),
        }
    }
}

impl From<Amounts> for Usage {
    fn from(amounts: Amounts) -> Self {
        let count = |amount: i64| amount.try_into().unwrap_or(0);
        Self {
            accounts: count(amounts.accounts),
            values: count(amounts.values),
            workflow_values: count(amounts.workflow_values),
            integrations: count(amounts.integrations),
            credentials: count(amounts.credentials),
            bytes: count(amounts.bytes),
        }
    }
}

/// On a shared store, an engine adds this part of a quota before it checks what others have added.
const BLIND: u64 = 16;

/// How old a count is before a refusal counts again.
const RECOUNT_AFTER: Duration = Duration::from_secs(1);
