//! The only source of time in the engine.

use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of wall-clock time. Tests pass their own.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Time since some moment, which never goes back, to measure durations. It is the wall clock, unless a clock has a
    /// better one.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }
}

impl dyn Clock {
    /// The time as a [`Timestamp`].
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.now_ms())
    }
}

/// The host's timer, for the few verbs that wait. With tokio, `tokio::time::sleep` is one.
pub trait Sleep: Send + Sync + 'static {
    /// Waits for about this long.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Any function from a duration to a future is a timer.
impl<F, W> Sleep for F
where
    F: Fn(Duration) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self(duration))
    }
}

/// A shared clock, such as one that a test keeps in order to set it.
impl<C: Clock> Clock for Arc<C> {
    fn now_ms(&self) -> u64 {
        (**self).now_ms()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// A clock that changes only when it is set, for tests.
///
/// ```
/// use std::time::Duration;
/// use strongroom::{Clock, ManualClock, Timestamp};
/// let clock = ManualClock::at(Timestamp::from_ms(1_000)); // every clone is the same clock
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.clone().now_ms(), 2_000);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock at `moment`.
    #[must_use]
    pub fn at(moment: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(moment.as_ms())))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, moment: Timestamp) {
        self.0.store(moment.as_ms(), Ordering::Relaxed);
    }

    /// Advances the clock, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        Timestamp::from(SystemTime::now()).as_ms()
    }

    fn monotonic(&self) -> Duration {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        FIRST.get_or_init(Instant::now).elapsed()
    }
}

/// A moment in wall-clock time: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

/// ISO 8601 in UTC, to the millisecond.
///
/// ```
/// let moment = strongroom::Timestamp::from_ms(1_709_210_096_789);
/// assert_eq!(moment.to_string(), "2024-02-29T12:34:56.789Z");
/// ```
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, ms) = (self.0 / 1_000, self.0 % 1_000);
        let (year, month, day) = civil(secs / 86_400);
        let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A moment before the Unix epoch becomes the epoch.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_millis(moment.0)).unwrap_or(UNIX_EPOCH)
    }
}

/// Year, month and day of this many days after 1970-01-01 in the Gregorian calendar. Years are counted from March, so
/// that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // From the first of March of the year 0.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March or August on have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, january) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + january, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_gregorian_calendar() {
        for (secs, shown) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (253_402_300_799, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(Timestamp::from_ms(secs * 1_000).to_string(), format!("{shown}.000Z"));
        }
    }

    #[test]
    fn a_system_time_comes_back_to_the_millisecond() {
        let moment = Timestamp::from_ms(1_709_210_096_789);
        assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::from_ms(0));
    }
}
