//! How much orgs and accounts store: as it was counted, and what this engine has written since.
//!
//! There is no row for it. A row that every write changes would make the writers of one org wait for one another, and
//! on a store that is not trusted it would have to be checked anyway. So the rows themselves are counted, once per
//! engine, and again if others may have written.

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
}

#[derive(Default)]
struct Count {
    /// What is stored, without what is in flight; before the first count, what is known of it.
    stored: Amounts,
    /// What batches in flight add. A count cannot tell whether it saw that. What they delete makes room once they have
    /// landed.
    in_flight: Amounts,
    is_counted: bool,
    counted_at_ms: u64,
    past: Past,
    /// The past when the last count was begun.
    counted_past: Past,
    /// The count that is under way.
    walk: Option<Walk>,
    /// How many counts are over.
    counts: u64,
}

/// What has happened until now. A count makes up for what happened before it was begun.
#[derive(Clone, Copy, Default)]
pub(crate) struct Past {
    /// How many batches have landed.
    landings: u64,
    /// What they added.
    added: Amounts,
    /// How often what is stored became uncertain. It may be too high since.
    doubts: u64,
    /// How many batches deleted rows that nobody measured.
    blind: u64,
}

/// A count that is continued bit by bit.
#[derive(Clone)]
pub(crate) struct Walk {
    /// The ranges that are not counted yet, in key order.
    pub(crate) rest: Vec<KeyRange>,
    pub(crate) found: Amounts,
    /// The past when it was begun.
    past: Past,
    /// How many counts were over when it was begun.
    number: u64,
    /// While rows are read: what landed meanwhile in `rest`, and adds this much at most.
    meanwhile: Option<Vec<(Key, Amounts)>>,
}

impl Walk {
    pub(crate) fn new(ranges: Vec<KeyRange>) -> Self {
        Self { rest: ranges, found: Amounts::default(), past: Past::default(), number: 0, meanwhile: None }
    }
}

fn is_in(ranges: &[KeyRange], key: &Key) -> bool {
    ranges.iter().any(|range| range.contains(key.as_bytes()))
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
    /// Whether it deletes rows that nobody measured.
    pub(crate) is_blind: bool,
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
        let added = count.past.added.minus(&count.counted_past.added).plus(&count.in_flight);
        let blind = |quota: &Quota| {
            let asked = asked.of(*quota);
            asked > 0 && added.of(*quota).saturating_add(asked) > quotas.max(*quota) / BLIND
        };
        !count.is_counted || count.walk.is_some() || (shared && self.quotas.iter().any(blind))
    }

    /// Whether a refusal should be checked by counting again. This engine knows what it wrote itself. It does not know
    /// what others deleted, and looks for that once a second.
    pub(crate) fn may_be_high(&self, now: Timestamp, shared: bool) -> bool {
        let count = self.count();
        // A clock that was set back says nothing about the age of the count.
        let age_ms = now.as_ms().checked_sub(count.counted_at_ms);
        let is_old = age_ms.is_none_or(|age_ms| u128::from(age_ms) >= RECOUNT_AFTER.as_millis());
        let may_differ = shared || count.past.blind > count.counted_past.blind;
        count.past.doubts > count.counted_past.doubts || (may_differ && is_old)
    }

    /// What has happened until now, for [`counted`](Self::counted).
    pub(crate) fn begin(&self) -> Past {
        self.count().past
    }

    /// Takes over a whole count that was begun after `past`.
    pub(crate) fn counted(&self, found: Amounts, past: Past, now: Timestamp) {
        let mut count = self.count();
        // Landed meanwhile, so the count may or may not include it. Too high is the safe side.
        let meanwhile = count.past.added.minus(&past.added);
        count.past.doubts += u64::from(count.past.landings > past.landings);
        count.finish(found.plus(&meanwhile), past, now);
    }

    /// The count that is under way, or a new one of `ranges`.
    pub(crate) fn walk(&self, ranges: impl FnOnce() -> Vec<KeyRange>) -> Walk {
        let mut count = self.count();
        let (past, number) = (count.past, count.counts);
        let walk = count.walk.get_or_insert_with(|| Walk { past, number, ..Walk::new(ranges()) });
        walk.meanwhile.get_or_insert_default();
        walk.clone()
    }

    /// Advances the count under way from `before` to `after`, unless another writer did so first.
    pub(crate) fn walked(&self, before: &Walk, after: Walk, now: Timestamp) -> Walked {
        let count = &mut *self.count();
        let Some(walk) = &mut count.walk else { return Walked::Over };
        if (walk.number, &walk.rest) != (before.number, &before.rest) {
            return Walked::ByAnother;
        }
        // What landed meanwhile behind `before` was added to `found`, and must stay in it.
        walk.found = walk.found.plus(&after.found.minus(&before.found));
        walk.rest = after.rest;
        let earlier = before.meanwhile.as_ref().map_or(0, Vec::len);
        for (key, added) in walk.meanwhile.take().unwrap_or_default().iter().skip(earlier) {
            if !is_in(&walk.rest, key) {
                // The rows that were read may or may not include it. Too high is the safe side.
                walk.found = walk.found.plus(added);
                count.past.doubts += 1;
            }
        }
        if !walk.rest.is_empty() {
            return Walked::On;
        }
        let (found, past) = (walk.found, walk.past);
        count.walk = None;
        count.finish(found, past, now);
        Walked::Over
    }

    /// Reserves what a batch changes, and takes it; or says which quota refuses it.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        quotas: &Quotas,
        change: &mut Change,
    ) -> Result<Reservation, Quota> {
        let mut count = self.count();
        let stored = count.known().plus(&change.total);
        let is_over = |quota: &Quota| change.asked.of(*quota) > 0 && stored.of(*quota) > quotas.max(*quota);
        if let Some(quota) = self.quotas.iter().copied().find(is_over) {
            return Err(quota);
        }
        count.in_flight = count.in_flight.plus(&change.total.increase());
        Ok(Reservation {
            tally: Arc::clone(self),
            change: std::mem::take(change),
            rest: count.walk.as_ref().map(|walk| walk.rest.clone()),
            counts: count.counts,
            outcome: Outcome::Unknown,
        })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    /// What is stored or may be soon, as far as it is known.
    fn known(&self) -> Amounts {
        let stored = match &self.walk {
            Some(walk) if !self.is_counted => walk.found.at_least(&self.stored),
            _ => self.stored,
        };
        stored.plus(&self.in_flight)
    }

    fn finish(&mut self, found: Amounts, past: Past, now: Timestamp) {
        self.stored = found;
        self.is_counted = true;
        self.counted_at_ms = now.as_ms();
        self.counted_past = past;
        self.counts += 1;
    }

    /// Takes in how a batch ended. Where nobody knows whether its rows are counted already, or whether it landed, all
    /// that it adds is added: too high is the safe side.
    fn settle(&mut self, batch: &Reservation) {
        let Change { total, rows, is_blind, .. } = &batch.change;
        self.in_flight = self.in_flight.minus(&total.increase());
        if batch.outcome == Outcome::Lost {
            return;
        }
        self.past.landings += 1;
        self.past.added = self.past.added.plus(&total.increase());
        self.past.blind += u64::from(*is_blind);
        let is_sure = batch.outcome == Outcome::Landed && batch.counts == self.counts;
        self.past.doubts += u64::from(!is_sure);
        self.stored = self.stored.plus(&if is_sure { *total } else { total.increase() });
        let Some(walk) = &mut self.walk else { return };
        for (key, amounts) in rows {
            if is_in(&walk.rest, key) {
                walk.meanwhile.iter_mut().for_each(|rows| rows.push((key.clone(), amounts.increase())));
                continue;
            }
            let was_behind = batch.rest.as_ref().is_some_and(|rest| !is_in(rest, key));
            let is_sure = is_sure && was_behind;
            self.past.doubts += u64::from(!is_sure);
            walk.found = walk.found.plus(&if is_sure { *amounts } else { amounts.increase() });
        }
        // Whoever reads is slow, or gave up.
        if walk.meanwhile.as_ref().is_some_and(|rows| rows.len() > MEANWHILE_MAX) {
            self.walk = None;
        }
    }
}

/// What a batch in flight changes.
pub(crate) struct Reservation {
    tally: Arc<Tally>,
    change: Change,
    /// What the count under way had before it.
    rest: Option<Vec<KeyRange>>,
    counts: u64,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Landed,
    Lost,
    Unknown,
}

impl Reservation {
    /// The batch landed.
    pub(crate) fn landed(mut self) {
        self.outcome = Outcome::Landed;
    }

    /// The batch did not land: gives back what was reserved.
    pub(crate) fn give_back(mut self) {
        self.outcome = Outcome::Lost;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.tally.count().settle(self);
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

    /// What `quota` limits. Before the first count it may be below zero.
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

/// How many rows may land while a count reads. After that it starts over.
const MEANWHILE_MAX: usize = 4_096;
