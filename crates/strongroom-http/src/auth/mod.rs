//! Who is calling: API keys for an org in one environment, and session tokens of one linked account.

mod admitted;
mod api_key;
mod base62;
mod grant;
mod key_text;
mod session;
mod signing_keys;
mod standing;
mod token;

use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom::{Error, Expected, Namespace, Org, Record, Records, SystemError};
use zeroize::Zeroizing;

pub(crate) use admitted::{API_KEY, Admitted, AdmittedKeys, KeyDigest, in_request};
pub use api_key::{ApiKeyInfo, ApiKeyPage, ApiKeys, CreatedApiKey, MadeKeys, NewApiKey};
pub use grant::{Grant, GrantError, Right, UnknownRight};
pub use session::EndedSessions;
pub(crate) use session::{ListedSession, Reuse, SESSION_SECS, Sessions, TakenSessions};
pub(crate) use signing_keys::{Signature, SigningKeys};
pub(crate) use standing::Standing;
pub(crate) use token::Claims;

/// Bytes of the operating system's generator.
pub(crate) fn random<const LEN: usize>() -> Result<Zeroizing<[u8; LEN]>, Error> {
    let mut bytes = Zeroizing::new([0; LEN]);
    SysRng.try_fill_bytes(&mut *bytes).map_err(|_| Error::System(SystemError::Random))?;
    Ok(bytes)
}

/// What a write that replaces this record expects.
fn as_read(record: Option<&Record>) -> Expected {
    record.map_or(Expected::Absent, |record| Expected::Revision(record.revision))
}

/// The error for a record that opens, but whose content is none that this release knows: it is whole, so a later
/// release wrote it.
fn of_later_release(row: String) -> Error {
    Error::UnknownVersion { row, version: LATER_VERSION }
}

/// The version that the engine names for such content.
const LATER_VERSION: u8 = 2;

/// The records of a namespace that only this crate writes.
fn own_records(org: &Org, namespace: &str) -> Result<Records, Error> {
    let namespace: Namespace = namespace.parse()?;
    debug_assert!(namespace.is_reserved(), "a host could write {namespace} too");
    Ok(org.reserved_records(namespace))
}
