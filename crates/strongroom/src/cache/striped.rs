//! One value, held by many threads that write no cache line of each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A cached value with an `Arc` for each stripe of threads. To hold an `Arc` is to write its count: were it the same for
/// all, the readers of one hot org would wait for each other's writes. A stripe's `Arc` is made when the first of its
/// threads asks. `T` is to be cheap to clone, and large enough that two counts share no cache line.
pub(crate) struct Striped<T> {
    value: T,
    stripes: [OnceLock<Arc<T>>; STRIPES],
}

impl<T: Clone> Striped<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, stripes: Default::default() }
    }

    /// The value itself, which is not to be held on to.
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    /// The `Arc` of this thread's stripe.
    pub(crate) fn share(&self) -> Arc<T> {
        let new = || Arc::new(self.value.clone());
        self.stripes.get(stripe()).map_or_else(new, |stripe| Arc::clone(stripe.get_or_init(new)))
    }
}

/// The stripe of this thread: threads take turns at choosing one and then stay with it.
pub(super) fn stripe() -> usize {
    thread_local! {
        static STRIPE: usize = {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
        };
    }
    STRIPE.with(|stripe| *stripe)
}

pub(super) const STRIPES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_arc_of_a_value_and_the_next_thread_another() {
        let striped = Striped::new(7);
        let of_another = std::thread::scope(|threads| threads.spawn(|| striped.share()).join().unwrap());
        let own = striped.share();
        assert!(Arc::ptr_eq(&own, &striped.share()) && !Arc::ptr_eq(&own, &of_another));
        assert_eq!((*own, *of_another), (7, 7));
    }
}
