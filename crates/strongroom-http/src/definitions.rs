//! Variable definitions.

use strongroom::{DefinitionId, ScopeKind, Scopes, StoredDefinition};

use crate::auth::Caller;
use crate::error::Failure;

/// The definition with this id, if the caller may know of it: a session token sees those that allow a value at account
/// scope.
pub(crate) async fn visible(caller: &Caller, id: &str) -> Result<StoredDefinition, Failure> {
    let id: DefinitionId = id.parse().map_err(|_| Failure::definition_not_found())?;
    let found = caller.org().definition(id).await?;
    let seen = found.filter(|found| match caller {
        Caller::Key(_) => true,
        Caller::Token(_) => found.definition.scopes.allows(ScopeKind::LinkedAccount),
    });
    seen.ok_or_else(Failure::definition_not_found)
}

/// The scope as the wire names it: the one that is allowed, or `org` when several are.
pub(crate) fn wire_scope(scopes: Scopes) -> ScopeKind {
    let mut kinds = scopes.iter();
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => only,
        _ => ScopeKind::Org,
    }
}
