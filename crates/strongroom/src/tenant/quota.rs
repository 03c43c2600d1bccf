//! Quotas: what a batch adds is reserved before it is sent, and given back if it does not land.

use std::collections::BTreeSet;

use crate::engine::tally::{Amounts, Change, Reservation, Tally, Walk, Walked};
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::limits::{Quota, UPDATE_BYTES_FREE};
use crate::row::Counted;
use crate::store::{Key, KeyRange, Scan};
use crate::tenant::{Draft, Tenant};

/// What a batch adds or takes away, row by row.
#[derive(Default)]
pub(crate) struct Charges {
    rows: Vec<Charge>,
    /// The account that the batch registers, if nothing was ever stored for it.
    new_account: Option<LinkedAccountId>,
    /// Whether the batch makes room, and so is never refused.
    makes_room: bool,
    /// Whether it deletes rows of unknown length, and whose those are beside the accounts of `rows`.
    is_blind: bool,
    blind: Vec<LinkedAccountId>,
}

struct Charge {
    key: Key,
    account: Option<LinkedAccountId>,
    amounts: Amounts,
    may_be_refused: bool,
    /// Whether nothing can be there yet: the row is under the key of an account that has none.
    is_first: bool,
}

/// What was reserved for a batch.
#[must_use = "it counts as stored until it is settled"]
pub(crate) struct Reserved(Vec<Reservation>);

impl Reserved {
    pub(crate) fn settle(self, landed: bool) {
        for reservation in self.0 {
            if landed { reservation.landed() } else { reservation.give_back() }
        }
    }
}

/// The holder of the quotas that a row counts in.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Org,
    Account(&'a LinkedAccountId),
}

impl Draft<'_> {
    /// Charges a row to its quotas: the row that was read has `read` bytes, and the row that the batch writes
    /// `written`. `None` means no row.
    pub(crate) fn charge(&mut self, key: &Key, read: Option<usize>, written: Option<usize>) {
        let tenant = self.tenant();
        let rows = i64::from(written.is_some()) - i64::from(read.is_some());
        let len = |len: Option<usize>| len.map_or(0, |len| (key.as_bytes().len() + len) as i64);
        let bytes = len(written) - len(read);
        if tenant.engine.tallies.are_off() || (rows, bytes) == (0, 0) {
            return;
        }
        let Some((counted, account)) = tenant.id.counted(key.as_bytes()) else { return };
        // A version that is kept is part of an update.
        let adds = rows > 0 && counted != Counted::History;
        let grows = adds || (bytes > 0 && written.is_some_and(|written| written > UPDATE_BYTES_FREE));
        let account: Option<LinkedAccountId> = account.and_then(|account| account.parse().ok());
        let is_under_its_key = matches!(counted, Counted::AccountValue | Counted::Credential);
        let charge = Charge {
            key: key.clone(),
            amounts: Amounts::of_rows(counted, rows, bytes),
            may_be_refused: grows && !self.charges().makes_room,
            is_first: is_under_its_key
                && account.as_ref().is_some_and(|account| self.keys(Some(account)).is_none()),
            account,
        };
        self.charges().rows.push(charge);
    }

    /// Notes that the batch deletes a row whose length, or existence, nobody knows. So it stays counted until rows are
    /// counted again.
    pub(super) fn charge_blindly(&mut self, key: &Key) {
        let tenant = self.tenant();
        if tenant.engine.tallies.are_off() {
            return;
        }
        let Some((_, account)) = tenant.id.counted(key.as_bytes()) else { return };
        let charges = self.charges();
        charges.is_blind = true;
        if let Some(account) = account.filter(|account| !charges.are_of(account)) {
            charges.blind.extend(account.parse::<LinkedAccountId>().ok());
        }
    }

    /// Notes that the batch registers an account. If the account has no keys either, none of its rows has to be
    /// counted.
    pub(crate) fn note_new_account(&mut self, account: &LinkedAccountId) {
        if self.keys(Some(account)).is_none() {
            self.charges().new_account = Some(account.clone());
        }
    }

    /// Notes that the batch is part of a delete or stores the answer of a provider: no quota refuses those.
    pub(crate) fn makes_room(&mut self) {
        self.charges().makes_room = true;
    }
}

impl Charges {
    /// Whether any of them is of this account.
    fn are_of(&self, account: &str) -> bool {
        let charged = self.rows.iter().filter_map(|charge| charge.account.as_ref());
        charged.chain(&self.blind).any(|known| known.as_str() == account)
    }

    /// Whether these charges are the first rows that an account stores.
    fn are_first_of(&self, account: &LinkedAccountId) -> bool {
        self.rows
            .iter()
            .filter(|charge| charge.account.as_ref() == Some(account))
            .all(|charge| charge.is_first)
    }

    /// How much the charges change what `holder` stores.
    fn of(&self, holder: Holder<'_>) -> Change {
        let mut change = Change { is_blind: self.is_blind, ..Change::default() };
        for charge in &self.rows {
            match holder {
                Holder::Account(account) if charge.account.as_ref() != Some(account) => continue,
                Holder::Org | Holder::Account(_) => {}
            }
            change.total = change.total.plus(&charge.amounts);
            if charge.may_be_refused {
                change.asked = change.asked.plus(&charge.amounts);
            }
            change.rows.push((charge.key.clone(), charge.amounts));
        }
        change
    }
}

impl Tenant {
    /// Reserves what a batch changes.
    ///
    /// # Errors
    /// [`Error::OverQuota`]; then nothing is reserved.
    pub(crate) async fn reserve(&self, charges: &Charges) -> Result<Reserved, Error> {
        let mut reserved = Reserved(Vec::new());
        if charges.rows.is_empty() && !charges.is_blind {
            return Ok(reserved);
        }
        let charged = charges.rows.iter().filter_map(|charge| charge.account.as_ref());
        let accounts: BTreeSet<_> = charged.chain(&charges.blind).collect();
        for holder in accounts.into_iter().map(Holder::Account).chain([Holder::Org]) {
            match self.reserve_of(holder, charges).await {
                Ok(reservation) => reserved.0.extend(reservation),
                Err(error) => {
                    reserved.settle(false);
                    return Err(error);
                }
            }
        }
        Ok(reserved)
    }

    async fn reserve_of(&self, holder: Holder<'_>, charges: &Charges) -> Result<Option<Reservation>, Error> {
        let (engine, mut change) = (&self.engine, charges.of(holder));
        let (tallies, shared) = (&engine.tallies, engine.is_shared());
        let (key, quotas) = match holder {
            Holder::Org => (self.id.prefix_key(), Quota::OF_ORGS),
            Holder::Account(account) => (self.id.account(account).key(), Quota::OF_ACCOUNTS),
        };
        let asks = change.asked != Amounts::default();
        // A batch that makes room is noted only if somebody counts.
        let tally = if asks { Some(tallies.of(key, quotas)) } else { tallies.get(&key) };
        let Some(tally) = tally else { return Ok(None) };
        match holder {
            Holder::Account(account) if charges.new_account.as_ref() == Some(account) => tally.start_empty(),
            Holder::Account(account) if charges.are_first_of(account) => {}
            _ if asks && tally.is_due(&tallies.quotas, &change.asked, shared) => {
                self.count(holder, &tally, change.asked.bytes()).await?;
            }
            Holder::Org | Holder::Account(_) => {}
        }
        let mut reserved = tally.reserve(&tallies.quotas, &mut change);
        if reserved.is_err() && tally.may_be_high(engine.now(), shared) {
            self.count(holder, &tally, RECOUNT_BYTES).await?;
            reserved = tally.reserve(&tallies.quotas, &mut change);
        }
        let over = |quota| Error::OverQuota { quota, max: tallies.quotas.max(quota) };
        reserved.map(Some).map_err(over)
    }

    /// Counts an account, or continues the count of the org. It counts enough that what is added during the count is a
    /// small part of it.
    async fn count(&self, holder: Holder<'_>, tally: &Tally, added_bytes: u64) -> Result<(), Error> {
        let engine = &self.engine;
        let Holder::Account(account) = holder else {
            return self.count_on(tally, added_bytes.saturating_mul(PACE)).await;
        };
        let past = tally.begin();
        let found = self.count_all(self.id.counted_of_account(account)).await?;
        tally.counted(found, past, engine.now());
        Ok(())
    }

    /// Continues the count of the org: a page, or more until `due` bytes are counted.
    async fn count_on(&self, tally: &Tally, mut due: u64) -> Result<(), Error> {
        loop {
            let before = tally.walk(|| self.id.counted_of_org());
            let mut after = before.clone();
            self.walk_on(&mut after, ORG_PAGE).await?;
            let counted = after.found.bytes().saturating_sub(before.found.bytes());
            match tally.walked(&before, after, self.engine.now()) {
                Walked::Over => return Ok(()),
                // Each writer counts for what it adds itself.
                Walked::ByAnother => {}
                Walked::On => {
                    due = due.saturating_sub(counted);
                    if due == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Counts the rows of `ranges`.
    pub(crate) async fn count_all(&self, ranges: Vec<KeyRange>) -> Result<Amounts, Error> {
        let mut walk = Walk::new(ranges);
        while !walk.rest.is_empty() {
            self.walk_on(&mut walk, PAGE).await?;
        }
        Ok(walk.found)
    }

    /// Counts the next rows, in one read.
    async fn walk_on(&self, walk: &mut Walk, rows_max: usize) -> Result<(), Error> {
        let ranges = std::mem::take(&mut walk.rest);
        let scans: Vec<Scan> = ranges.iter().map(|range| Scan::new(range.clone(), rows_max)).collect();
        let pages = self.engine.read(scans).await?;
        for (range, page) in ranges.into_iter().zip(pages) {
            // Later ranges are read again together with one that has more rows, since ranges are counted in key order.
            if !walk.rest.is_empty() {
                walk.rest.push(range);
                continue;
            }
            for (key, row) in &page.rows {
                // Not the key of a row: nobody charged for it, and `verify` reports it.
                let Some((counted, _)) = self.id.counted(key.as_bytes()) else { continue };
                let bytes = (key.as_bytes().len() + row.value.len()) as i64;
                walk.found = walk.found.plus(&Amounts::of_rows(counted, 1, bytes));
            }
            if let (true, Some((last, _))) = (page.more, page.rows.last()) {
                walk.rest.push(range.after(last.as_bytes()));
            }
        }
        Ok(())
    }
}

/// How many bytes of an org are counted for each byte added.
const PACE: u64 = 16;
/// How many bytes are counted before a write that the last count does not allow is refused: with [`PACE`], 1 MiB. No
/// more, since a caller who is refused may call again at once.
const RECOUNT_BYTES: u64 = 64 << 10;
/// Rows that are counted at once: few for an org, since a caller that adds little may be waiting for it.
const ORG_PAGE: usize = 256;
const PAGE: usize = 4_096;
