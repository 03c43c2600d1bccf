//! Pages of a list of which a narrowed key sees only a part.

use strongroom::{Cursor, PageRequest};

/// Which part of a list was asked for.
pub(super) struct Place {
    pub(super) limit: usize,
    pub(super) after: Option<Cursor>,
}

impl Place {
    /// So many rows from here on.
    pub(super) fn request(&self, rows: usize) -> PageRequest {
        let page = PageRequest::first(rows);
        match &self.after {
            Some(after) => page.after(after.clone()),
            None => page,
        }
    }
}

/// After how many of these items the page ends, if they are more: those that are taken are then `missing`.
pub(super) fn surplus<T>(items: &[T], missing: usize, takes: impl Fn(&T) -> bool) -> Option<usize> {
    let mut taken = items.iter().enumerate().filter(|(_, item)| takes(item)).map(|(at, _)| at + 1);
    taken.nth(missing.checked_sub(1)?).filter(|end| *end < items.len())
}

/// What `bytes` says of an item. By a function, so that the closure need not name its argument's type.
pub(super) fn weigh<T>(item: &T, bytes: impl Fn(&T) -> usize) -> usize {
    bytes(item)
}

/// A page of the items that are taken, and the cursor of the next page. A cursor names the item before its page:
/// an engine's page that ends with an item that is not shown would name that one, so it is read again until it ends
/// with one that is. To a key for some names a cursor also says that one which it sees follows. A macro, since the
/// future of a closure that borrows is not known to be `Send`.
macro_rules! visible {
    ($grant:expr, $place:expr, |$page:ident| $list:expr, $takes:expr) => {
        visible!($grant, $place, |$page| $list, $takes, |_| 0)
    };
    // The same, and the page ends once it holds so many bytes.
    ($grant:expr, $place:expr, |$page:ident| $list:expr, $takes:expr, $bytes:expr) => {{
        let (mut place, takes, mut kept, mut held) = ($place, $takes, Vec::new(), 0);
        let mut rows = place.limit.min($crate::control::visible::ROWS);
        loop {
            let missing = place.limit - kept.len();
            let $page = place.request(rows);
            let mut found = $list.await.map_err(full)?;
            while let Some(end) = $crate::control::visible::surplus(&found.items, missing, &takes) {
                let $page = place.request(end);
                found = $list.await.map_err(full)?;
            }
            let taken = found.items.into_iter().filter(&takes);
            kept.extend(taken.inspect(|item| held += $crate::control::visible::weigh(item, $bytes)));
            let is_full = kept.len() >= place.limit || held >= $crate::control::visible::BYTES_MAX;
            match found.next {
                Some(next) if !is_full => place.after = Some(next),
                None => break (kept, None),
                Some(next) => {
                    let mut follows = $grant.names().is_empty();
                    let mut ahead = Some(next.clone()).filter(|_| !follows);
                    while let Some(after) = ahead {
                        place.after = Some(after);
                        let $page = place.request($crate::control::visible::ROWS);
                        let found = $list.await.map_err(full)?;
                        follows = found.items.iter().any(&takes);
                        ahead = found.next.filter(|_| !follows);
                        tokio::task::yield_now().await;
                    }
                    break (kept, follows.then(|| next.to_string()));
                }
            }
            rows = $crate::control::visible::ROWS;
            // An embedded store never yields by itself.
            tokio::task::yield_now().await;
        }
    }};
}
pub(super) use visible;

/// How many rows are read at a time: with the longest values, 4 MiB.
pub(super) const ROWS: usize = 64;
/// A page is full with so many bytes of values, and with less than as many again.
pub(super) const BYTES_MAX: usize = 4 << 20;
