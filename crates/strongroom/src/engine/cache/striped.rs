//! One value, held by many threads that do not write each other's cache lines.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A cached value with a [`Share`] for each stripe of threads. Holding a share writes its count: if all threads shared
/// one count, the readers of a hot org would wait for each other's writes. Every share but that of the first stripe is
/// made when a thread of its stripe asks. `T` should be cheap to clone.
pub(crate) struct Striped<T> {
    first: Share<T>,
    stripe: usize,
    others: OnceLock<Box<[OnceLock<Share<T>>; STRIPES]>>,
}

impl<T: Clone> Striped<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { first: Share::new(value), stripe: stripe(), others: OnceLock::new() }
    }

    /// The value itself, for as long as the cache is borrowed.
    pub(crate) fn value(&self) -> &T {
        &self.first
    }

    /// The share of this thread's stripe.
    pub(crate) fn share(&self) -> Share<T> {
        self.share_of(stripe())
    }

    fn share_of(&self, stripe: usize) -> Share<T> {
        if stripe == self.stripe {
            return self.first.clone();
        }
        let new = || Share::new(T::clone(&self.first));
        let other = self.others.get_or_init(Box::default).get(stripe);
        other.map_or_else(new, |other| other.get_or_init(new).clone())
    }
}

/// A value behind a count that shares no cache line with the count of another share.
pub(crate) struct Share<T>(Arc<Apart<T>>);

/// A value with room after it. An alignment would also keep counts apart, but it leaves a gap, and whatever is in that
/// gap, such as a key, is copied from the stack to the heap with the value.
struct Apart<T> {
    value: T,
    _room: [u64; ROOM_LEN],
}

impl<T> Share<T> {
    pub(crate) fn new(value: T) -> Self {
        const { assert!(size_of::<Apart<T>>() == size_of::<T>() + size_of::<[u64; ROOM_LEN]>(), "no gap") };
        Self(Arc::new(Apart { value, _room: [0; ROOM_LEN] }))
    }
}

impl<T> Clone for Share<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Share<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// The stripe of this thread. Stripes are given out in turn, and a thread keeps the one that it got.
pub(crate) fn stripe() -> usize {
    thread_local! {
        static STRIPE: usize = {
            static NEXT: Stripes = Stripes(AtomicUsize::new(0));
            NEXT.next()
        };
    }
    STRIPE.with(|stripe| *stripe)
}

/// Which stripe the next thread gets.
struct Stripes(AtomicUsize);

impl Stripes {
    fn next(&self) -> usize {
        // Relaxed: each thread gets a number of its own, and no other read depends on it.
        self.0.fetch_add(1, Ordering::Relaxed) % STRIPES
    }
}

/// Threads beyond this many share stripes. Each costs a line of counters, and a share of each keyring that is in use.
pub(crate) const STRIPES: usize = 8;

/// Together with the two counts of an `Arc` this is 128 bytes: processors fetch cache lines of 64 bytes in pairs.
const ROOM_LEN: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: &Share<u64>, other: &Share<u64>) -> bool {
        Arc::ptr_eq(&one.0, &other.0)
    }

    #[test]
    fn each_stripe_has_one_share_of_a_value_and_no_other_stripe_has_it() {
        let striped = Striped::new(7_u64);
        let shares: Vec<_> = (0..STRIPES).map(|stripe| striped.share_of(stripe)).collect();
        for (stripe, share) in shares.iter().enumerate() {
            assert_eq!(**share, 7);
            for (of, other) in shares.iter().enumerate() {
                assert_eq!(is_same(&striped.share_of(stripe), other), stripe == of);
            }
        }
    }

    #[test]
    fn a_thread_keeps_its_stripe_and_the_share_of_it() {
        let striped = Striped::new(7_u64);
        let keeps = || {
            let (stripe, share) = (stripe(), striped.share());
            stripe == self::stripe() && is_same(&share, &striped.share_of(stripe))
        };
        std::thread::scope(|threads| {
            for thread in (0..=STRIPES).map(|_| threads.spawn(keeps)).collect::<Vec<_>>() {
                assert!(thread.join().unwrap());
            }
        });
    }

    #[test]
    fn a_new_thread_gets_the_next_stripe() {
        let stripes = Stripes(AtomicUsize::new(0));
        let given: Vec<_> = (0..=STRIPES).map(|_| stripes.next()).collect();
        assert_eq!(given, [0, 1, 2, 3, 4, 5, 6, 7, 0]);
    }

    #[test]
    fn the_counts_of_two_shares_lie_in_different_pairs_of_cache_lines() {
        let counts_len = 2 * size_of::<usize>();
        assert!(counts_len + size_of::<Apart<u64>>() >= 128);
        let (one, other) = (Share::new(7_u64), Share::new(7_u64));
        let distance = Arc::as_ptr(&one.0).addr().abs_diff(Arc::as_ptr(&other.0).addr());
        assert!(distance >= 128, "{distance} bytes");
    }
}
