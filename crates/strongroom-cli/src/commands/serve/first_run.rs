//! The content of a new vault that `serve` creates: enough for the first two requests.

use strongroom::{DefinitionId, LinkedAccountId, Org, SystemClock, VarFormat, VariableDefinition};
use strongroom_http::{ApiKeys, NewApiKey};

use super::first_key::{FirstKey, KeyPlace};
use crate::failure::Failure;

/// What the printed requests use.
#[derive(Debug)]
pub(super) struct Contents {
    /// Shown only if it was just created; it cannot be read again.
    pub(super) api_key: Option<FirstKey>,
    pub(super) definition: Option<DefinitionId>,
    pub(super) account: Option<LinkedAccountId>,
}

/// Creates an API key, an encrypted definition for all scopes, and a linked account with a default app.
pub(super) async fn make(org: &Org, place: KeyPlace, store_id: &str) -> Result<Contents, Failure> {
    let definition = VariableDefinition::new(DEFINITION, VarFormat::String).encrypted();
    let definition = org.define(definition.description("created by the first `strongroom serve`")).await?;
    let account: LinkedAccountId = ACCOUNT.parse().map_err(strongroom::Error::from)?;
    org.create_account(account.clone()).with_default_app().await?;
    let api_key = ApiKeys::of(org)?.create(NewApiKey::named("first run")).await?.key;
    let api_key = place.put(api_key, store_id)?;
    Ok(Contents { api_key: Some(api_key), definition: Some(definition), account: Some(account) })
}

/// Finds what remains of it.
pub(super) async fn find(org: &Org, store_id: &str) -> Result<Contents, Failure> {
    let definition = org.definition(DEFINITION).await?.map(|stored| stored.id);
    let account: LinkedAccountId = ACCOUNT.parse().map_err(strongroom::Error::from)?;
    let account = org.linked_account(&account).await?.map(|found| found.account_id);
    // A key that was revoked since is of no use.
    let api_key = match FirstKey::find(store_id) {
        Some(found) if ApiKeys::of(org)?.admits(&found.read(), &SystemClock).await? => Some(found),
        _ => None,
    };
    Ok(Contents { api_key, definition, account })
}

const DEFINITION: &str = "API_SECRET";
const ACCOUNT: &str = "user_12345";
