//! Statements that are sent one after the other, before the first is answered.

use std::future::{Future, poll_fn};
use std::task::Poll;

use futures_util::future::{join_all, maybe_done};

/// Waits for all of `futures`. Each is polled once, in order, before anything else is: what they send goes out in that
/// order, and before anything polled after this. `join_all` may leave some of many for later.
pub(crate) async fn in_order<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        for future in &mut all {
            let _ = future.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    join_all(all.iter_mut()).await;
    all.iter_mut().filter_map(|done| done.as_mut().take_output()).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::join;

    use super::*;

    #[test]
    fn each_is_polled_in_order_before_anything_else_is() {
        let log = RefCell::new(Vec::new());
        let log_once = |number: usize| {
            let (log, mut is_first) = (&log, true);
            poll_fn(move |context| {
                if std::mem::take(&mut is_first) {
                    log.borrow_mut().push(number);
                    // As if an answer were already there.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(number)
            })
        };
        let (all, _) = futures_executor::block_on(join(in_order((0..100).map(log_once)), log_once(100)));
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(log.into_inner(), (0..=100).collect::<Vec<_>>());
    }
}
