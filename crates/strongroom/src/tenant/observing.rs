//! A verb that is observed while it runs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Tenant;
use crate::engine::observer::{Call, Observed};
use crate::error::Error;

pin_project! {
    /// A verb, with what its observer receives once it ends or is dropped.
    ///
    /// An async function around the verb would keep room for it twice, as its argument and as what it awaits. The
    /// futures of writes would be twice the size, and callers who box or move one would pay for that.
    pub(crate) struct Observing<'w, F> {
        #[pin]
        pub(super) verb: F,
        pub(super) tenant: &'w Tenant,
        pub(super) call: Call<'w>,
        // Starts with the verb: a future may wait before it is polled.
        pub(super) observed: Option<Observed<'w>>,
    }
}

impl<T, F> Future for Observing<'_, F>
where
    F: Future<Output = Result<T, Error>>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let observed = this.observed.get_or_insert_with(|| this.tenant.observe(*this.call));
        let ended = ready!(this.verb.poll(context));
        observed.end(&ended);
        Poll::Ready(ended)
    }
}
