//! Retries a write until it lands.

use std::collections::BTreeSet;
use std::future::Future;

use super::shred_org::sweep_org;
use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::tenant::{Attempt, Freshness, Tenant};

/// Runs a write until it lands: again after every lost race, and once more if a cached row misled it. Once it has lost,
/// it has the turn at the rows that it lost, so that no other verb of this engine is faster again and again. If the
/// write meets a shred of the org that was interrupted, the shred is finished first.
///
/// # Errors
/// [`Error::Contended`] after [`ATTEMPTS_MAX`] tries; otherwise the first error of a try.
pub(crate) async fn until_landed<T, F>(tenant: &Tenant, write: impl Fn(Freshness) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Attempt<T>, Error>>,
{
    let (mut contested, mut turns) = (BTreeSet::new(), Vec::new());
    for attempt in 0..ATTEMPTS_MAX {
        let freshness = match attempt {
            0 => Freshness::Cached,
            // Whoever waited for others as often has waited long enough.
            _ if attempt >= WAITS_MAX || !turns.is_empty() => Freshness::InTurn,
            _ => Freshness::Fresh,
        };
        match write(freshness).await {
            Ok(Attempt::Landed(landed)) => return Ok(landed),
            Ok(Attempt::Lost(rows)) => {
                let known = contested.len();
                contested.extend(rows);
                if contested.len() > known {
                    // Turns are taken in the order of their rows, so those that it has go back.
                    turns.clear();
                    turns = tenant.engine.turns.take(&contested).await;
                }
            }
            Ok(Attempt::AfterShred) => {
                // The sweep waits for turns, and must not wait for this one.
                turns.clear();
                contested.clear();
                sweep_org(tenant).await?;
            }
            // A cached row may be out of date: the next attempt reads every row from the store.
            Err(error) if freshness == Freshness::Cached && error.may_be_stale() => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}

const WAITS_MAX: u32 = 4;
