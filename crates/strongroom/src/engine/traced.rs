//! Observations as events of `tracing`.

use tracing::Level;

use crate::engine::observer::{Observation, Observer};
use crate::id::{ConnectionId, IntegrationId, RequestId};

/// Emits an event of level `DEBUG` and target `strongroom` for each verb that ends. Feature `tracing`.
///
/// ```
/// use strongroom::{TracingObserver, VaultOptions};
/// let options = VaultOptions::default().observer(TracingObserver);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn observe(&self, seen: &Observation<'_>) {
        tracing::event!(
            target: "strongroom",
            Level::DEBUG,
            verb = seen.verb,
            org = %seen.org,
            environment = %seen.environment,
            actor = seen.actor.map(|actor| actor.name().as_str()),
            request_id = seen.actor.and_then(|actor| actor.request_id()).map(RequestId::as_str),
            name = seen.name().as_deref(),
            scope = seen.scope.map(tracing::field::display),
            linked_account = seen.linked_account.map(tracing::field::display),
            integration = seen.integration.map(IntegrationId::as_str),
            connection = seen.connection.map(ConnectionId::as_str),
            outcome = seen.outcome.as_str(),
            duration_us = u64::try_from(seen.duration.as_micros()).unwrap_or(u64::MAX),
        );
    }
}
