//! The bodies of the calls on values.

use serde::{Deserialize, Serialize};
use strongroom::{DefinitionId, DocumentId, Environment, LinkedAccountId, OrgId, ScopeKind, WorkflowId};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use crate::request::SecretText;

/// A new value.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetValue {
    #[schema(required, nullable = false, example = "6500a1b2c3d4e5f6a7b8c9d0")]
    pub(super) variable_definition_id: Option<String>,
    #[schema(required, nullable = false, value_type = String)]
    pub(super) value: Option<SecretText>,
    /// Sets the value of this account; may come as header or in the query instead.
    #[schema(nullable = false)]
    pub(super) linked_account_id: Option<String>,
    /// Sets the value of this workflow; may come in the query instead.
    #[schema(nullable = false)]
    pub(super) workflow_id: Option<String>,
}

/// A value that was set. Ciphertext if the definition is encrypted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueSet {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    pub(super) id: DocumentId,
    #[schema(value_type = String)]
    pub(super) variable_definition_id: DefinitionId,
    #[schema(value_type = String)]
    pub(super) org_id: OrgId,
    #[schema(value_type = String)]
    pub(super) environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(super) linked_account_id: Option<LinkedAccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(super) workflow_id: Option<WorkflowId>,
    #[schema(value_type = String)]
    pub(super) value: Zeroizing<String>,
    #[serde(rename = "createdAt")]
    pub(super) created_at: String,
}

/// The scopes of the request.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    pub(super) workflow_id: Option<String>,
}

/// A value as a run sees it. `[REDACTED]` if the definition is encrypted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueFound {
    #[schema(value_type = String)]
    pub(super) value: Zeroizing<String>,
    pub(super) encrypted: bool,
    pub(super) name: String,
    /// Where it was found: `workflow`, `linked_account`, `org` or `default`.
    pub(super) scope: &'static str,
    #[schema(value_type = String)]
    pub(super) variable_definition_id: DefinitionId,
}

/// Which values to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ValuesQuery {
    #[param(required = false, value_type = String)]
    pub(super) variable_definition_id: Option<String>,
    /// Required for `linked_account` scope; may come as header instead.
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    /// Required for `workflow` scope.
    #[param(required = false, value_type = String)]
    pub(super) workflow_id: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    pub(super) page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    pub(super) limit: Option<String>,
}

/// The values of a scope.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueList {
    pub(super) status: &'static str,
    pub(super) docs: Vec<ValueDoc>,
    #[serde(rename = "totalDocs")]
    pub(super) total_docs: usize,
    pub(super) limit: usize,
    pub(super) page: usize,
}

/// A value in a list, never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    pub(super) id: DocumentId,
    pub(super) variable_definition_id: ValueDefinition,
    /// Always `[REDACTED]`.
    pub(super) value: &'static str,
    #[serde(rename = "updatedAt")]
    pub(super) updated_at: String,
}

/// The definition of a value.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDefinition {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    pub(super) id: DefinitionId,
    pub(super) name: String,
    #[schema(value_type = String)]
    pub(super) scope: ScopeKind,
    pub(super) encrypted: bool,
}

/// The account or workflow of the value.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ValueQuery {
    /// A value that is not this account's own is not found.
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    /// Nor is one that is not this workflow's own.
    #[param(required = false, value_type = String)]
    pub(super) workflow_id: Option<String>,
}

/// A value that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDeleted {
    pub(super) status: &'static str,
    pub(super) message: String,
}
