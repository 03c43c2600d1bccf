//! One piece of work and its floor, as something that runs `n` times and says how long that took.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A piece of work beside its floor.
#[derive(Debug)]
pub struct Work {
    /// What is measured.
    pub name: String,
    /// The engine's part.
    pub work: Run,
    /// What the floor does.
    pub floor_name: &'static str,
    /// The floor's part.
    pub floor: Run,
    /// The most that `work` may cost, in multiples of `floor`.
    pub bar: Option<f64>,
}

impl Work {
    /// `work` beside `floor`, without a bar.
    pub fn new(name: impl Into<String>, work: Run, floor_name: &'static str, floor: Run) -> Self {
        Self { name: name.into(), work, floor_name, floor, bar: None }
    }

    /// The same, both timed by the wall clock, for work that waits for another process.
    #[must_use]
    pub fn by_the_wall(self) -> Self {
        Self { work: self.work.by_the_wall(), floor: self.floor.by_the_wall(), ..self }
    }

    /// The same with a bar.
    #[must_use]
    pub fn bar(mut self, ratio_max: f64) -> Self {
        self.bar = Some(ratio_max);
        self
    }
}

/// Something that runs `n` times and answers how long that took.
pub struct Run(Box<dyn FnMut(u64) -> Duration>);

impl Run {
    /// Timed by the processor time of this thread: what else the machine does counts little.
    pub fn cpu(mut work: impl FnMut(u64) + 'static) -> Self {
        Self(Box::new(move |n| {
            let start = thread_time();
            work(n);
            thread_time() - start
        }))
    }

    /// Timed by the wall clock, for work that waits for a disk or for other threads.
    pub fn wall(mut work: impl FnMut(u64) + 'static) -> Self {
        Self(Box::new(move |n| {
            let start = Instant::now();
            work(n);
            start.elapsed()
        }))
    }

    /// The same, timed by the wall clock.
    #[must_use]
    pub fn by_the_wall(mut self) -> Self {
        Self::wall(move |n| {
            self.time(n);
        })
    }

    /// The same, timed by a clock that the caller reads.
    #[must_use]
    pub fn by(mut self, clock: impl Fn() -> Duration + 'static) -> Self {
        Self(Box::new(move |n| {
            let start = clock();
            self.time(n);
            clock().saturating_sub(start)
        }))
    }

    /// The processor time that `n` runs cost one thread while another does the same.
    pub fn two_threads(work: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let work = Arc::new(work);
        Self(Box::new(move |n| {
            let timed = || {
                let start = thread_time();
                work(n);
                thread_time() - start
            };
            let both: Duration = thread::scope(|threads| {
                let pair = [threads.spawn(timed), threads.spawn(timed)];
                pair.into_iter().map(|thread| thread.join().expect("no run panics")).sum()
            });
            both / 2
        }))
    }

    /// How long `n` runs take.
    pub fn time(&mut self, n: u64) -> Duration {
        (self.0)(n)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Run")
    }
}

fn thread_time() -> Duration {
    processor_time(ClockId::ThreadCPUTime)
}

/// The processor time of a thread or a process, by its clock.
pub fn processor_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
