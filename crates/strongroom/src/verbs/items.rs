//! The items of a list as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;

use crate::error::Error;
use crate::model::{Listing, PageRequest};

impl PageRequest {
    /// The items of a list from this page on, one after the other, for any verb that takes a page. The next page is
    /// read once the items of the previous one are taken. Each page is a read of its own, so items written meanwhile
    /// may or may not be included, as when a host requests the pages itself.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use futures_util::StreamExt;
    /// use strongroom::PageRequest;
    /// org.create_account("user_12345".parse()?).await?;
    /// let mut accounts = PageRequest::first(100).items(|page| org.linked_accounts(page));
    /// while let Some(account) = accounts.next().await {
    ///     assert_eq!(account?.account_id.as_str(), "user_12345");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of the verb, as the last item.
    ///
    /// # Cancellation
    /// Dropping the stream leaves nothing behind.
    pub fn items<T, R, F>(self, read: R) -> Items<T, R, F>
    where
        R: FnMut(Self) -> F,
        F: Future<Output = Result<Listing<T>, Error>>,
    {
        Items { read, items: Vec::new().into_iter(), next: Next::Read(self) }
    }
}

/// The items of a list, of [`PageRequest::items`].
#[must_use = "nothing is read until it is polled"]
pub struct Items<T, R, F> {
    read: R,
    items: vec::IntoIter<T>,
    next: Next<F>,
}

/// What follows the items already read.
enum Next<F> {
    Read(PageRequest),
    /// The page that was requested, and its future.
    Reading(PageRequest, Pin<Box<F>>),
    End,
}

impl<T, R, F> Stream for Items<T, R, F>
where
    T: Unpin,
    R: FnMut(PageRequest) -> F + Unpin,
    F: Future<Output = Result<Listing<T>, Error>>,
{
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            this.next = match &mut this.next {
                Next::End => return Poll::Ready(None),
                Next::Read(page) => Next::Reading(page.clone(), Box::pin((this.read)(page.clone()))),
                Next::Reading(page, reading) => match ready!(reading.as_mut().poll(context)) {
                    Ok(Listing { items, next }) => {
                        this.items = items.into_iter();
                        next.map_or(Next::End, |cursor| Next::Read(page.clone().after(cursor)))
                    }
                    Err(error) => {
                        this.next = Next::End;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            };
        }
    }
}

impl<T, R, F> fmt::Debug for Items<T, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("read", &self.items.len()).finish_non_exhaustive()
    }
}
