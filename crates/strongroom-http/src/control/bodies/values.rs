//! Values, their history, and what a run sees.

use serde::{Deserialize, Serialize};
use strongroom::{Resolved, Scope, ScopeKind, ScopedValue, Secret, StoredDefinition};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::definitions::NewDefinition;
use super::opaque;
use crate::control::queries;
use crate::error::Failure;
use crate::request::objects;
use crate::time;

/// The value of a variable at one scope.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Value {
    /// Its id, which stays the same when it is set again.
    pub id: String,
    /// The id of its definition.
    pub variable_definition_id: String,
    /// The name of the variable.
    pub name: String,
    /// The value; `null` if it is encrypted and was not to be revealed.
    #[schema(value_type = Option<String>)]
    pub value: Option<Zeroizing<String>>,
    /// The kind of its scope.
    #[schema(value_type = String)]
    pub scope: ScopeKind,
    /// Whether the variable is encrypted.
    pub encrypted: bool,
    /// Its version, as a string, since programs that read numbers as floating point would change it.
    pub version: String,
    /// Who set it.
    pub author: Option<String>,
    /// A note on why it was set.
    pub note: Option<String>,
    /// When it was added.
    pub created_at: String,
    /// When it was last set.
    pub updated_at: String,
}

/// A new value of a variable at one scope.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    /// The value.
    #[schema(value_type = String)]
    pub value: Zeroizing<String>,
    /// Sets the value of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// Sets the value of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// A note for the history on why it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Sets it only if the present value has this version; `""` if there must be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A value that was set, without its content.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ValueWritten {
    /// `added` or `updated`.
    pub action: String,
    /// Its id.
    pub id: String,
    /// The id of its definition.
    pub variable_definition_id: String,
    /// The name of the variable.
    pub name: String,
    /// The kind of its scope.
    #[schema(value_type = String)]
    pub scope: ScopeKind,
    /// Its version.
    pub version: String,
    /// When it was added.
    pub created_at: String,
    /// When it was set.
    pub updated_at: String,
}

/// Definitions to add and values to set at one scope, all or none.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Sets the values of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// Sets the values of this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// New definitions.
    #[serde(deserialize_with = "objects")]
    pub definitions: Vec<NewDefinition>,
    /// Values of new or existing definitions.
    #[serde(deserialize_with = "objects")]
    pub values: Vec<BatchValue>,
    /// Skips values that are already stored as given, and reports them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compare: bool,
    /// Reports which values would be refused, and writes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// One value of a batch.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchValue {
    /// The name of the variable.
    pub name: String,
    /// The value.
    #[schema(value_type = String)]
    pub value: Zeroizing<String>,
    /// Sets it only if the present value has this version; `""` if there must be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a batch did.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct BatchDone {
    /// Whether it was written: not on a dry run, nor if a value is refused.
    pub applied: bool,
    /// The refused values, each with the rule that it breaks.
    pub refused: Vec<MissingValue>,
    /// The names of values that were not written because they are already stored as given. Only values that the key may
    /// see are compared: all with the right `reveal`, otherwise those that are not encrypted with the right `read`.
    #[serde(default)]
    pub unchanged: Vec<String>,
    /// How many values of existing definitions could not be compared. Those that the key last set itself to the same
    /// are listed as updated, and keep their version.
    #[serde(default)]
    pub uncompared: usize,
    /// How many definitions were added.
    pub defined: usize,
    /// The values that were written, in the order of the request.
    pub values: Vec<Applied>,
}

/// A value of a batch that was set.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The name of the variable.
    pub name: String,
    /// `added` or `updated`.
    pub action: String,
    /// Its version.
    pub version: String,
}

/// A variable and what is wrong with its value.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MissingValue {
    /// The name of the variable.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// One version of a value or credential.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The version, for `restore`; `null` for a present one that is missing.
    pub version: Option<String>,
    /// `current`, `former` or `deleted`; `unreadable` for one that cannot be read.
    pub state: String,
    /// When it was written; `null` for one that cannot be read.
    pub written_at: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// The request in which it was written.
    pub request_id: Option<String>,
    /// A note on why it was written.
    pub note: Option<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Why it cannot be read, including which row it is. Absent if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Which value to undo.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Undo {
    /// The value of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// The value of this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Also replaces a present row that cannot be read; its content is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace_damaged: bool,
}

/// Which version to restore.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The version, as the history lists it.
    pub version: String,
    /// The value of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// The value of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Also replaces a present row that cannot be read; its content is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace_damaged: bool,
}

/// A value that was set to a former version.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Undone {
    /// The name of the variable.
    pub name: String,
    /// The kind of its scope.
    #[schema(value_type = String)]
    pub scope: ScopeKind,
    /// The id of the value.
    pub id: String,
    /// The version that was restored.
    pub restored: String,
    /// Its present version.
    pub version: String,
    /// When the restored version was first written.
    pub written_at: String,
}

/// What a run sees.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// The variables, in the order in which they were defined.
    pub values: Vec<ResolvedValue>,
    /// A digest of their versions, which reveals nothing about the values: it stays the same until one of them is set,
    /// deleted or found elsewhere.
    #[serde(default)]
    pub versions: String,
    /// The names of required variables without a value.
    pub missing_required: Vec<String>,
}

/// A variable as a run sees it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ResolvedValue {
    /// The id of its definition.
    pub variable_definition_id: String,
    /// Its name.
    pub name: String,
    /// The value; `null` if it is encrypted and was not to be revealed.
    #[schema(value_type = Option<String>)]
    pub value: Option<Zeroizing<String>>,
    /// Where it was found: `org`, `linked_account`, `workflow` or `default`.
    pub scope: String,
    /// Whether the variable is encrypted.
    pub encrypted: bool,
    /// The scopes that it overrides: less specific ones that also hold a value, most specific first.
    pub shadowed: Vec<String>,
}

/// Where a variable is looked for, and where it is found.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// Its name.
    pub name: String,
    /// The id of its definition.
    pub variable_definition_id: String,
    /// Where it is found; `null` if nowhere.
    pub scope: Option<String>,
    /// Every place, most specific first.
    pub steps: Vec<Step>,
}

/// One place.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// `org`, `linked_account`, `workflow` or `default`.
    pub scope: String,
    /// The same, with the id of the account or workflow.
    pub at: String,
    /// `found`, `shadowed`, `no value` or `unreadable`.
    pub outcome: String,
    /// Whether the value is from before a change of the format, and does not match it.
    pub grandfathered: bool,
    /// Who set it.
    pub author: Option<String>,
    /// A note on why it was set.
    pub note: Option<String>,
    /// Why it cannot be read; absent if it can. A run for which this step is the first with a value fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

opaque!(
    Value,
    NewValue,
    ValueWritten,
    Batch,
    BatchValue,
    BatchDone,
    Applied,
    MissingValue,
    Version,
    Undo,
    Restore,
    Undone,
    Resolution,
    ResolvedValue,
    Trace,
    Step
);

impl Value {
    pub(crate) fn of(found: &ScopedValue, stored: &StoredDefinition, reveal: bool) -> Self {
        let definition = &stored.definition;
        Self {
            id: found.id.to_string(),
            variable_definition_id: found.definition_id.to_string(),
            name: definition.name.clone(),
            value: shown(&found.value, definition.encrypted, reveal),
            scope: found.scope.kind(),
            encrypted: definition.encrypted,
            version: found.revision.as_u64().to_string(),
            author: found.metadata.author().map(str::to_owned),
            note: found.metadata.note().map(str::to_owned),
            created_at: time::iso(found.created_at),
            updated_at: time::iso(found.updated_at),
        }
    }
}

impl ValueWritten {
    pub(crate) fn of(written: &strongroom::ValueWritten, name: &str) -> Self {
        Self {
            action: written.action.as_str().to_owned(),
            id: written.id.to_string(),
            variable_definition_id: written.definition_id.to_string(),
            name: name.to_owned(),
            scope: written.scope.kind(),
            version: written.revision.as_u64().to_string(),
            created_at: time::iso(written.created_at),
            updated_at: time::iso(written.updated_at),
        }
    }
}

impl Version {
    /// The version as it is shown; `is_newest` for the first one of a history.
    #[must_use]
    pub fn of(version: &strongroom::Version, is_newest: bool) -> Self {
        let metadata = &version.metadata;
        let state = match (version.deleted, is_newest) {
            _ if version.unreadable.is_some() => "unreadable",
            (true, _) => "deleted",
            (false, true) => "current",
            (false, false) => "former",
        };
        Self {
            version: Some(version.revision.as_u64())
                .filter(|number| *number != 0 || version.unreadable.is_none())
                .map(|number| number.to_string()),
            state: state.to_owned(),
            written_at: version.unreadable.is_none().then(|| time::iso(version.written_at)),
            author: metadata.author().map(str::to_owned),
            request_id: metadata.request_id().map(str::to_owned),
            note: metadata.note().map(str::to_owned),
            labels: metadata.labels().map(str::to_owned).collect(),
            unreadable: version.unreadable.clone(),
        }
    }
}

impl ResolvedValue {
    pub(crate) fn of(resolved: &Resolved, reveal: bool) -> Self {
        Self {
            variable_definition_id: resolved.definition_id.to_string(),
            name: resolved.name.clone(),
            value: shown(&resolved.value, resolved.encrypted, reveal),
            scope: resolved.scope.as_str().to_owned(),
            encrypted: resolved.encrypted,
            shadowed: resolved.shadowed.iter().map(|origin| origin.as_str().to_owned()).collect(),
        }
    }
}

impl Trace {
    /// The trace as it is shown.
    #[must_use]
    pub fn of(trace: &strongroom::Trace) -> Self {
        let winner = trace.winner();
        let steps = trace.steps.iter().map(|step| {
            let outcome = match (step.holds_value, winner) {
                _ if step.unreadable.is_some() => "unreadable",
                (false, _) => "no value",
                // The winner is one of these steps, so it is this one if the addresses are equal.
                (true, Some(winner)) if std::ptr::eq(winner, step) => "found",
                (true, _) => "shadowed",
            };
            Step {
                scope: step.origin.as_str().to_owned(),
                at: step.origin.to_string(),
                outcome: outcome.to_owned(),
                grandfathered: step.grandfathered,
                author: step.metadata.author().map(str::to_owned),
                note: step.metadata.note().map(str::to_owned),
                unreadable: step.unreadable.clone(),
            }
        });
        Self {
            name: trace.name.clone(),
            variable_definition_id: trace.definition_id.to_string(),
            scope: winner.map(|step| step.origin.as_str().to_owned()),
            steps: steps.collect(),
        }
    }
}

/// The scope of a body.
pub(crate) fn scope_of(account: Option<&str>, workflow: Option<&str>) -> Result<Scope, Failure> {
    queries::scope(account, workflow)
}

/// A value, if the key may see it.
pub(crate) fn shown(value: &Secret, encrypted: bool, reveal: bool) -> Option<Zeroizing<String>> {
    (!encrypted || reveal).then(|| Zeroizing::new(value.expose().to_owned()))
}
