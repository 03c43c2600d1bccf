//! The bodies of the calls on linked accounts.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use strongroom::{DocumentId, Environment, Integration, IntegrationId, LinkedAccount, LinkedAccountId};
use utoipa::{IntoParams, ToSchema};

use crate::error::Failure;
use crate::request::some_object;

/// A new linked account.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct AccountFields {
    /// The org's own id of the account; either this or `linked_account_id`.
    #[schema(nullable = false)]
    account_id: Option<String>,
    #[schema(nullable = false)]
    linked_account_id: Option<String>,
    /// For people; at most 256 bytes.
    #[schema(nullable = false)]
    pub(crate) name: Option<String>,
    /// The org's own fields: an object of at most 16 KiB.
    #[schema(nullable = false, value_type = Object)]
    pub(crate) udf: Option<Box<RawValue>>,
    /// Gives the account the default app.
    #[serde(default, deserialize_with = "some_object")]
    #[schema(nullable = false)]
    pub(crate) your_app: Option<YourApp>,
}

/// The default app of a linked account.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct YourApp {
    /// Key name → any JSON; anything but a string is kept as its exact source text.
    #[serde(default)]
    #[schema(value_type = Object, required = false)]
    pub(crate) auth_credentials: KeyValues,
}

/// A JSON object with every key that was sent, even twice: the engine refuses those, and a map would hide them.
#[derive(Default)]
pub(crate) struct KeyValues(pub(crate) Vec<(String, Box<RawValue>)>);

/// A new or changed linked account: its fields, or the same under `payload`, which takes precedence.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpsertAccount {
    #[schema(nullable = false)]
    account_id: Option<String>,
    #[schema(nullable = false)]
    linked_account_id: Option<String>,
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false, value_type = Object)]
    udf: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "some_object")]
    #[schema(nullable = false)]
    your_app: Option<YourApp>,
    #[serde(default, deserialize_with = "some_object")]
    #[schema(nullable = false)]
    payload: Option<AccountFields>,
}

/// A linked account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DocumentId,
    #[schema(value_type = String)]
    account_id: LinkedAccountId,
    /// Empty if there is none.
    name: String,
    #[schema(value_type = String)]
    environment: Environment,
    integrations: Vec<IntegrationDoc>,
}

/// An integration of a linked account; never its credentials.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntegrationDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DocumentId,
    #[schema(value_type = String)]
    slug: IntegrationId,
}

/// A linked account that was registered or updated.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountUpserted {
    #[serde(flatten)]
    pub(crate) account: AccountDoc,
    pub(crate) new_account: bool,
}

/// A linked account that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountDeleted {
    pub(crate) message: &'static str,
}

/// An integration that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntegrationDeleted {
    pub(crate) success: bool,
    pub(crate) message: &'static str,
}

/// Which linked accounts to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountsQuery {
    /// With `env_variable_value`: selects the accounts whose own value of this variable is that.
    #[param(required = false, value_type = String)]
    pub(crate) env_variable_name: Option<String>,
    #[param(required = false, value_type = String)]
    pub(crate) env_variable_value: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    pub(crate) page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    pub(crate) limit: Option<String>,
}

impl AccountFields {
    /// The account's id, under either name.
    pub(crate) fn account(&self) -> Result<Option<&str>, Failure> {
        match (self.account_id.as_deref(), self.linked_account_id.as_deref()) {
            (Some(one), Some(other)) if one != other => {
                Err(Failure::linked_account("account_id and linked_account_id differ"))
            }
            (one, other) => Ok(one.or(other)),
        }
    }

    /// The org's own fields as their exact source, which must be an object.
    pub(crate) fn udf(&self) -> Result<Option<&str>, Failure> {
        let text = self.udf.as_ref().map(|udf| udf.get());
        if text.is_some_and(|text| !text.starts_with('{')) {
            return Err(Failure::bad_request("udf must be an object"));
        }
        Ok(text)
    }
}

impl UpsertAccount {
    /// The fields of the payload, and those beside it that the payload lacks.
    pub(crate) fn fields(self) -> AccountFields {
        let payload = self.payload.unwrap_or_default();
        let named = payload.account_id.is_some() || payload.linked_account_id.is_some();
        let (account_id, linked_account_id) = if named {
            (payload.account_id, payload.linked_account_id)
        } else {
            (self.account_id, self.linked_account_id)
        };
        AccountFields {
            account_id,
            linked_account_id,
            name: payload.name.or(self.name),
            udf: payload.udf.or(self.udf),
            your_app: payload.your_app.or(self.your_app),
        }
    }
}

impl<'de> Deserialize<'de> for KeyValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = KeyValues;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeyValues, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(KeyValues(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl AccountDoc {
    /// The response for a registered account.
    pub(crate) fn of(
        known: LinkedAccount,
        integrations: Vec<Integration>,
        environment: &Environment,
    ) -> Self {
        // The documented calls know only one connection of an integration: the default one.
        let integrations = integrations
            .into_iter()
            .filter(|app| app.connection.is_none())
            .map(|app| IntegrationDoc { id: app.id, slug: app.integration });
        Self {
            id: known.id,
            account_id: known.account_id,
            name: known.name.unwrap_or_default(),
            environment: environment.clone(),
            integrations: integrations.collect(),
        }
    }
}
