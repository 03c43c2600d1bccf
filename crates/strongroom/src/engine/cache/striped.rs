//! One value, held by many threads that write no cache line of each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A cached value with an `Arc` for each stripe of threads. To hold an `Arc` is to write its count: were it the same for
/// all, the readers of one hot org would wait for each other's writes. That of another stripe than the first is made when
/// a thread of it asks. `T` is to be cheap to clone, and large enough that two counts share no cache line.
pub(crate) struct Striped<T> {
    first: Arc<T>,
    stripe: usize,
    others: OnceLock<Box<[OnceLock<Arc<T>>; STRIPES]>>,
}

impl<T: Clone> Striped<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { first: Arc::new(value), stripe: stripe(), others: OnceLock::new() }
    }

    /// The value itself, which is not to be held on to.
    pub(crate) fn value(&self) -> &T {
        &self.first
    }

    /// The `Arc` of this thread's stripe.
    pub(crate) fn share(&self) -> Arc<T> {
        let stripe = stripe();
        if stripe == self.stripe {
            return Arc::clone(&self.first);
        }
        let new = || Arc::new(T::clone(&self.first));
        let other = self.others.get_or_init(Box::default).get(stripe);
        other.map_or_else(new, |other| Arc::clone(other.get_or_init(new)))
    }
}

/// The stripe of this thread: threads take turns at choosing one and then stay with it.
pub(crate) fn stripe() -> usize {
    thread_local! {
        static STRIPE: usize = {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
        };
    }
    STRIPE.with(|stripe| *stripe)
}

pub(crate) const STRIPES: usize = 8;

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
