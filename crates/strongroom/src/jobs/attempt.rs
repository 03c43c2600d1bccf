//! Trying a write until it lands.

use std::future::Future;

use super::shred_org::sweep_org;
use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::tenant::{Attempt, Freshness, Tenant};

/// Runs a write until it lands: again after every lost race, and once more where a cached row misled it. A shred of the
/// org that was cut short is finished where the write met it.
///
/// # Errors
/// [`Error::Contended`] after [`ATTEMPTS_MAX`] tries; otherwise the first error of a try.
pub(crate) async fn until_landed<T, F>(tenant: &Tenant, write: impl Fn(Freshness) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Attempt<T>, Error>>,
{
    for freshness in Freshness::attempts() {
        match write(freshness).await {
            Ok(Attempt::Landed(landed)) => return Ok(landed),
            Ok(Attempt::Lost) => {}
            Ok(Attempt::AfterShred) => sweep_org(tenant).await?,
            // The caches may hold what is no more: the next try reads everything.
            Err(error) if freshness == Freshness::Cached && error.may_be_stale() => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX))
}
