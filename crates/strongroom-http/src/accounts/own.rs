//! What a session token may change of its own account.

use strongroom::{Error, Expected, LinkedAccount};

use super::credentials;
use super::wire::AccountFields;
use crate::caller::TokenCaller;
use crate::error::Failure;

/// Updates the account of a token: merges credentials, adds the default app, and gives it a name if it has none. It
/// never registers the account.
pub(super) async fn update(holder: &TokenCaller, body: &AccountFields) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let known = holder.account.info().await?.ok_or_else(Failure::bad_token)?;
        refuse_fields_of_org(&known, body)?;
        let mut update = holder.account.update();
        if let Some(name) = body.name.as_ref().filter(|_| known.name.is_none()) {
            // If the org names it meanwhile, the org's name stays.
            update = update.name(name).expecting(Expected::Revision(known.revision));
        }
        if body.your_app.is_some() {
            update = update.with_default_app();
        }
        for (key, value) in credentials(body)? {
            update = update.with_credential(key, value);
        }
        match update.await {
            Ok(()) => return Ok(()),
            Err(Error::AccountNotFound(_)) => return Err(Failure::bad_token()),
            // The account changed before it was named: the next read shows whether it has a name now.
            Err(Error::Unexpected { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Contended(ATTEMPTS_MAX).into())
}

/// Refuses to overwrite the org's own fields of its account. Sending the same text is not a change: a client may send
/// the whole account back.
fn refuse_fields_of_org(known: &LinkedAccount, body: &AccountFields) -> Result<(), Failure> {
    let other_name = body.name.is_some() && known.name.is_some() && body.name != known.name;
    let other_udf =
        body.udf()?.is_some_and(|udf| known.udf.as_deref().is_none_or(|own| !is_same_json(udf, own)));
    if other_name || other_udf {
        return Err(Failure::bad_request("name and udf of an account can be changed only with an API key"));
    }
    Ok(())
}

fn is_same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    one == other || parse(one).is_some_and(|one| Some(one) == parse(other))
}

const ATTEMPTS_MAX: u32 = 16;
