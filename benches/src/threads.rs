//! Two threads on one hot org: the processor time of a resolve while another thread does the same, beside alone.
//!
//! Twice the work in the same time is a ratio of 1; 1.8 times one thread is 1.11. What the machine itself loses with two
//! busy cores shows in the row of the raw open, which shares nothing.

use std::hint::black_box;
use std::sync::Arc;

use strongroom_memory::MemoryStore;

use crate::memory::{asked, resolve_hot};
use crate::population::{Population, Request, VALUE};
use crate::raw::Cipher;
use crate::vault::Filled;
use crate::{Run, Work};

/// The raw open and a resolve.
#[must_use]
pub fn works() -> Vec<Work> {
    vec![raw(), resolve()]
}

fn raw() -> Work {
    let open = |n| {
        let cipher = Cipher::new();
        let sealed = cipher.seal(&[1; 180], VALUE.as_bytes());
        for _ in 0..n {
            black_box(cipher.open(&[1; 180], black_box(&sealed)).is_some());
        }
    };
    Work::new("raw open, two threads", Run::two_threads(open), "one thread", Run::cpu(open))
}

fn resolve() -> Work {
    let filled = Filled::new(MemoryStore::new(), Population { orgs: 1 });
    let requests: Vec<_> =
        filled.population.requests().iter().map(|one| Request { account: 3, ..*one }).collect();
    let hot = Arc::new(asked(&filled, &requests));
    let alone = Arc::clone(&hot);
    let both = Run::two_threads(move |n| resolve_hot(&hot, n));
    let one = Run::cpu(move |n| resolve_hot(&alone, n));
    Work::new("memory: resolve one, two threads", both, "one thread", one).bar(2.0 / 1.8)
}
