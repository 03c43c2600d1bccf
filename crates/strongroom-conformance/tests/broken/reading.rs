//! How the sketch reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use strongroom::store::{
    Key, KeyRange, Page, READ_OPS_MAX, ReadBatch, ReadSet, RowRevision, Scan, StoreError, StoreErrorKind,
    Versioned,
};

use crate::flaw::Flaw;
use crate::sketch::{Rows, Sketch, State};

impl Sketch {
    pub(crate) fn answer(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.reads_len.fetch_add(1, Ordering::SeqCst);
        let ops_len = request.gets.len() + request.scans.len();
        match self.flaw {
            Flaw::ReadsUnchecked => {}
            Flaw::ReadLimitOffByOne if ops_len == READ_OPS_MAX => {
                return Err(StoreError::new(StoreErrorKind::TooLarge, "one too many"));
            }
            _ => request.check()?,
        }
        if self.flaw != Flaw::ReadsAfterClose {
            self.check_open()?;
        }
        let _turn = self.turn();
        let mut state = self.state();
        let gets = self.gets(&state, &request.gets);
        if self.flaw == Flaw::ReadsTear {
            drop(state);
            wait_for_another(&self.commits_len);
            state = self.state();
        }
        Ok(ReadSet { gets, scans: self.scans(&state, &request.scans) })
    }

    fn gets(&self, state: &State, keys: &[Key]) -> Vec<Option<Versioned>> {
        let mut keys = keys.to_vec();
        if self.flaw == Flaw::AnswersGetsSorted {
            keys.sort();
        }
        let rows = self.rows(state);
        let row = |key: &Key| match self.flaw {
            Flaw::GetsTheNextKey => rows.range::<Key, _>(key..).next().map(|(_, row)| row),
            _ => rows.get(key),
        };
        keys.iter().map(|key| row(key).map(|row| self.versioned(state, row))).collect()
    }

    fn scans(&self, state: &State, scans: &[Scan]) -> Vec<Page> {
        let mut left = usize::MAX;
        let mut pages = Vec::new();
        for scan in scans {
            let limit = if self.flaw == Flaw::LimitIsOfTheRead { scan.limit.min(left) } else { scan.limit };
            left = limit;
            let page = self.page(state, &Scan { limit, ..scan.clone() });
            left -= page.rows.len();
            pages.push(page);
        }
        if self.flaw == Flaw::AnswersScansBackwards {
            pages.reverse();
        }
        pages
    }

    fn page(&self, state: &State, scan: &Scan) -> Page {
        let range = self.bend(scan.range.clone());
        let mut walk: Vec<_> =
            self.rows(state).iter().filter(|(key, _)| self.holds_key(&range, key)).collect();
        if self.flaw == Flaw::SignedOrder {
            walk.sort_by_key(|(key, _)| key.as_bytes().iter().map(|byte| *byte as i8).collect::<Vec<_>>());
        }
        if scan.reverse && self.flaw == Flaw::ReverseTakesTheFirstRows {
            walk.truncate(scan.limit);
        }
        if scan.reverse && self.flaw != Flaw::ReverseIgnored {
            walk.reverse();
        }
        let mut page = self.fill(state, scan, walk);
        if self.flaw == Flaw::ShowsItsCounter && state.revision > 0 {
            page.rows.push((
                b"\xff-counter".as_slice().into(),
                Versioned { value: Vec::new(), revision: RowRevision(0) },
            ));
        }
        page
    }

    fn fill(&self, state: &State, scan: &Scan, walk: Vec<(&Key, &Versioned)>) -> Page {
        let limit = if self.flaw == Flaw::LimitOffByOne { scan.limit.saturating_add(1) } else { scan.limit };
        let has_size = !scan.reverse || self.flaw != Flaw::ReversePagesHaveNoSize;
        let mut page = Page::default();
        let mut bytes_len = 0;
        for (key, row) in walk {
            if page.rows.len() >= limit || has_size && self.is_full(bytes_len, key, row) {
                page.more = true;
                break;
            }
            let mut answered = self.versioned(state, row);
            if self.flaw == Flaw::PageCountsHiddenValues && scan.keys_only {
                bytes_len += answered.value.len();
            }
            if scan.keys_only && self.flaw != Flaw::KeysOnlyShowsValues {
                answered.value.clear();
            }
            let hidden = scan.keys_only && self.flaw == Flaw::KeysOnlyHidesRevisions;
            if hidden || self.flaw == Flaw::ScansTellNoRevision {
                answered.revision = RowRevision(0);
            }
            bytes_len += key.as_bytes().len() + answered.value.len();
            page.rows.push((key.clone(), answered));
        }
        match self.flaw {
            Flaw::MoreWhenFull => page.more = page.rows.len() >= limit,
            Flaw::NeverMore => page.more = false,
            _ => {}
        }
        page
    }

    fn is_full(&self, bytes_len: usize, key: &Key, row: &Versioned) -> bool {
        let page_bytes_max = 4 << 20;
        let with_row = bytes_len + key.as_bytes().len() + row.value.len();
        match self.flaw {
            Flaw::PageSizeIgnored => false,
            Flaw::PageEndsBeforeItsSize => with_row >= page_bytes_max,
            Flaw::PageCanBeEmpty => with_row > 10_000,
            _ => bytes_len >= page_bytes_max,
        }
    }

    fn bend(&self, mut range: KeyRange) -> KeyRange {
        match (self.flaw, &mut range.end) {
            (Flaw::InvertedRangesTurned, Some(end)) if *end < range.start => {
                std::mem::swap(end, &mut range.start);
            }
            (Flaw::InvertedRangesPanic, Some(end)) => assert!(range.start <= *end, "the range is inverted"),
            (Flaw::EndlessRangesStopAtFf, end @ None) => *end = Some(vec![0xff]),
            (Flaw::RangesTrimNul, _) if range.start.ends_with(&[0]) => {
                range.start.pop();
            }
            _ => {}
        }
        range
    }

    fn holds_key(&self, range: &KeyRange, key: &Key) -> bool {
        match self.flaw {
            Flaw::EndIncluded if range.end.as_deref() == Some(key.as_bytes()) => {
                *key.as_bytes() >= *range.start
            }
            Flaw::StartExcluded if range.start == key.as_bytes() => false,
            _ => range.contains(key.as_bytes()),
        }
    }

    fn rows<'a>(&self, state: &'a State) -> &'a Rows {
        if self.flaw == Flaw::ReadsAreStale { &state.stale } else { self.known(state) }
    }

    fn versioned(&self, state: &State, row: &Versioned) -> Versioned {
        match self.flaw {
            Flaw::RevisionIsOfTheStore => {
                Versioned { value: row.value.clone(), revision: RowRevision(state.revision) }
            }
            _ => row.clone(),
        }
    }
}

/// Waits until another thread has made a call, but not for ever, since there may be no other.
pub(crate) fn wait_for_another(calls_len: &AtomicUsize) {
    let before = calls_len.load(Ordering::SeqCst);
    for _ in 0..2_000 {
        if calls_len.load(Ordering::SeqCst) != before {
            return;
        }
        thread::yield_now();
    }
}
