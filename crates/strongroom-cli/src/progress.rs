//! A progress bar for work that takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts steps, and shows them on a terminal once a second has passed.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::default_bar());
        Self { bar, started: Instant::now() }
    }

    /// Counts without a known end: `what` names the things counted.
    pub(crate) fn without_end(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message(what);
        Self { bar, started: Instant::now() }
    }

    /// Shows the progress of a backup, restore or copy.
    pub(crate) fn at(&self, progress: &strongroom::Progress) {
        self.reach(progress.rows, progress.rows_total);
    }

    /// `done` are done; once the total is known, a bar shows it.
    pub(crate) fn reach(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total.filter(|total| self.bar.length() != Some(*total)) {
            self.bar.set_style(ProgressStyle::default_bar());
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
        self.advance(0);
    }

    pub(crate) fn advance(&self, steps: usize) {
        if self.bar.is_hidden() && self.started.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
