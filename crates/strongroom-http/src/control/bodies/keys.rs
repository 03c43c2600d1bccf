//! API keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::opaque;
use crate::auth::{ApiKeyInfo, Grant, GrantError, Right};
use crate::error::Failure;
use crate::request::account_id;
use crate::time;

/// An API key.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Its id, which is needed to revoke it.
    pub id: String,
    /// A display name.
    pub name: String,
    /// The key itself, only in the response that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Zeroizing<String>>,
    /// Its environment.
    pub environment: String,
    /// What it may do: `documented`, `read`, `write`, `reveal`, `admin`, `operate`.
    pub rights: Vec<String>,
    /// The variables to which it is narrowed; empty for all. A name that ends in `*` covers all that begin with it.
    pub names: Vec<String>,
    /// The linked accounts to which it is narrowed; empty for the whole org.
    pub linked_account_ids: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it expires.
    pub expires_at: Option<String>,
    /// The day, in UTC, on which it was last used.
    pub last_used: Option<String>,
    /// The id of the key that made it; `null` for a key that was made where the vault is, or by an earlier release.
    #[serde(default)]
    pub made_by: Option<String>,
}

/// An API key that was revoked.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct KeyRevoked {
    /// Its id.
    pub name: String,
    /// Whether it existed: `false` if only keys that it made were revoked.
    pub deleted: bool,
    /// The keys that it made, directly or through others.
    pub children: Vec<ApiKey>,
    /// Whether those were revoked too. Otherwise they stay valid.
    pub children_deleted: bool,
    /// Why API keys that cannot be read are not among the children, although they may be. Such a key is refused, and
    /// can be revoked by its id. Absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// How many sessions were ended, if that was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_ended: Option<usize>,
}

/// An API key to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// A display name, for who or what will use it.
    pub name: String,
    /// Its rights; `documented` by default. They cannot exceed those of the key of the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<String>,
    /// Narrows `read`, `write` and `reveal` to these variables; a name that ends in `*` covers all that begin with it.
    /// It must not be empty: a list that is empty by mistake would otherwise mean all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Narrows them to these linked accounts. It must not be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_account_ids: Option<Vec<String>>,
    /// When it expires, as in `2026-01-31T12:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// How to replace an API key.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateKey {
    /// For how many seconds the old key is still accepted.
    pub grace_secs: u64,
    /// When the new key expires; by default when the old one would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

opaque!(ApiKey, ApiKeyRequest, KeyRevoked, RotateKey);

impl ApiKey {
    pub(crate) fn of(info: &ApiKeyInfo, environment: &str, key: Option<Zeroizing<String>>) -> Self {
        Self {
            id: info.id.to_string(),
            name: info.name.clone(),
            api_key: key,
            environment: environment.to_owned(),
            rights: info.grant.rights().map(|right| right.as_str().to_owned()).collect(),
            names: info.grant.names().to_vec(),
            linked_account_ids: info.grant.accounts().iter().map(ToString::to_string).collect(),
            created_at: time::iso(info.created_at),
            expires_at: info.expires_at.map(time::iso),
            last_used: info.last_used.map(|day| time::iso(day).chars().take(DATE_LEN).collect()),
            made_by: info.made_by.map(|id| id.to_string()),
        }
    }
}

impl ApiKeyRequest {
    pub(crate) fn grant(&self) -> Result<Grant, Failure> {
        let rights: Result<Vec<Right>, _> = self.rights.iter().map(|text| text.parse()).collect();
        let rights =
            rights.map_err(|error: crate::auth::UnknownRight| Failure::bad_request(error.to_string()))?;
        let mut grant = if rights.is_empty() { Grant::default() } else { Grant::of(rights) };
        let refused = |error: GrantError| Failure::bad_request(error.to_string());
        if let Some(names) = &self.names {
            grant = grant.only_names(names).map_err(refused)?;
        }
        if let Some(texts) = &self.linked_account_ids {
            let accounts: Result<Vec<_>, Failure> = texts.iter().map(|text| account_id(text)).collect();
            grant = grant.only_accounts(accounts?).map_err(refused)?;
        }
        Ok(grant)
    }
}

const DATE_LEN: usize = 10;
