//! What each thread of this process had of the processor, and how long it was ready to run and had none.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Since the process began, by the names of the threads; of a thread that has ended nothing is known. Empty where
/// there is no Linux to tell.
pub(super) struct Processor {
    at: Instant,
    threads: BTreeMap<String, Times>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    ran: Duration,
    waited: Duration,
}

/// What one thread had of a time, or all threads of one name together.
#[derive(Debug)]
pub struct Share {
    /// The name of the thread.
    pub thread: String,
    /// Of one core.
    pub ran: f64,
    /// Ready, while others had the cores.
    pub waited: f64,
}

impl Processor {
    pub(super) fn now() -> Self {
        let mut threads: BTreeMap<String, Times> = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let (name, times) = (read("comm"), read("schedstat"));
            let mut nanos = times.split_whitespace().map_while(|nanos| nanos.parse().ok());
            let mut next = || Duration::from_nanos(nanos.next().unwrap_or_default());
            let of_name = threads.entry(name.trim().to_owned()).or_default();
            of_name.ran += next();
            of_name.waited += next();
        }
        Self { at: Instant::now(), threads }
    }

    /// The shares of each since then, the largest first.
    pub(super) fn shares(&self) -> Vec<Share> {
        let (now, secs) = (Self::now(), self.at.elapsed().as_secs_f64());
        let mut shares: Vec<Share> = now
            .threads
            .into_iter()
            .map(|(thread, times)| {
                let before = self.threads.get(&thread).copied().unwrap_or_default();
                let share = |now: Duration, before| now.saturating_sub(before).as_secs_f64() / secs;
                Share {
                    ran: share(times.ran, before.ran),
                    waited: share(times.waited, before.waited),
                    thread,
                }
            })
            .filter(|share| share.ran + share.waited >= SHARE_MIN)
            .collect();
        shares.sort_by(|one, other| other.ran.total_cmp(&one.ran));
        shares
    }
}

/// Less of a core is left out.
const SHARE_MIN: f64 = 0.005;
