//! Pages of a list of which a narrowed key sees only a part.

use strongroom::{Cursor, PageRequest};

/// Which page of a list was requested.
pub(super) struct Place {
    pub(super) limit: usize,
    pub(super) after: Option<Cursor>,
}

impl Place {
    /// The next page of at most this many rows.
    pub(super) fn request(&self, rows: usize) -> PageRequest {
        let page = PageRequest::first(rows);
        match &self.after {
            Some(after) => page.after(after.clone()),
            None => page,
        }
    }
}

/// Where the page ends if it is full before the last of `items`, with the `missing` ones or because of their bytes: the
/// number of items up to the one that fills it.
pub(super) fn surplus<T>(
    items: &[T],
    (missing, mut held): (usize, usize),
    takes: impl Fn(&T) -> bool,
    bytes: impl Fn(&T) -> usize,
) -> Option<usize> {
    let taken = items.iter().enumerate().filter(|(_, item)| takes(item));
    for (count, (at, item)) in (1..).zip(taken) {
        held += bytes(item);
        if count >= missing || held >= BYTES_MAX {
            return Some(at + 1).filter(|end| *end < items.len());
        }
    }
    None
}

/// `bytes` of an item. A function, so that the closure need not name the type of its argument.
pub(super) fn weigh<T>(item: &T, bytes: impl Fn(&T) -> usize) -> usize {
    bytes(item)
}

/// A page of the items that are taken, and the cursor of the next page. A cursor names the last item of its page. If an
/// engine's page ends with an item that the key may not see, the cursor would name that one, so the page is read again
/// until it ends with a visible one. For a key narrowed to some names, there is a cursor only if a visible item
/// follows. A macro, since the future of a closure that borrows is not known to be `Send`.
macro_rules! visible {
    ($grant:expr, $place:expr, |$page:ident| $list:expr, $takes:expr) => {
        visible!($grant, $place, |$page| $list, $takes, |_| 0)
    };
    // The same, but the page also ends once it holds that many bytes.
    ($grant:expr, $place:expr, |$page:ident| $list:expr, $takes:expr, $bytes:expr) => {{
        let (mut place, takes, mut kept, mut held) = ($place, $takes, Vec::new(), 0);
        let mut rows = place.limit.min($crate::control::visible::ROWS);
        loop {
            let missing = place.limit - kept.len();
            let $page = place.request(rows);
            let mut found = $list.await.map_err(full)?;
            while let Some(end) =
                $crate::control::visible::surplus(&found.items, (missing, held), &takes, $bytes)
            {
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
            // An embedded store never yields.
            tokio::task::yield_now().await;
        }
    }};
}
pub(super) use visible;

/// How many rows are read at a time: with the longest values, 4 MiB.
pub(super) const ROWS: usize = 64;
/// A page is full once it holds this many bytes of values; it holds less than twice as many.
pub(super) const BYTES_MAX: usize = 4 << 20;
