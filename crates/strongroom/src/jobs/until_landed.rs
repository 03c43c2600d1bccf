//! Retries a write until it lands.

use std::future::Future;

use super::shred_org::sweep_org;
use crate::engine::ATTEMPTS_MAX;
use crate::engine::turns::Contest;
use crate::error::Error;
use crate::tenant::{Attempt, Freshness, Tenant};

/// Runs a write until it lands: again after every lost race, and once more if a cached row misled it. After a loss, it
/// takes the turn at the rows that it lost, so that other verbs of this engine cannot be faster again and again. If the
/// write meets an interrupted shred of the org, the shred is finished first.
///
/// # Errors
/// [`Error::Contended`] after [`ATTEMPTS_MAX`] tries; otherwise the first error of a try.
pub(crate) async fn until_landed<T, F>(tenant: &Tenant, write: impl Fn(Freshness) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Attempt<T>, Error>>,
{
    let mut contest = Contest::new(&tenant.engine.turns);
    let mut freshness = Freshness::Cached;
    for _ in 0..ATTEMPTS_MAX {
        match write(freshness).await {
            Ok(Attempt::Landed(landed)) => return Ok(landed),
            Ok(Attempt::Lost(rows)) => contest.lost(rows).await,
            Ok(Attempt::AfterShred) => {
                // The sweep waits for turns, and must not wait for the turn held here.
                contest.leave();
                sweep_org(tenant).await?;
            }
            // A cached row may be out of date: the next attempt reads every row from the store.
            Err(error) if freshness == Freshness::Cached && error.may_be_stale() => {}
            Err(error) => return Err(error),
        }
        freshness = if contest.must_wait() { Freshness::Fresh } else { Freshness::InTurn };
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}
