//! The query strings of the control calls.

use serde::Deserialize;
use strongroom::{
    ConnectionId, Cursor, DefinitionName, Error, LinkedAccountId, PageRequest, Revision, Scope, ScopePath,
    Timestamp, WorkflowId,
};
use utoipa::IntoParams;

use super::credentials::connection;
use super::operator::{Operator, path_of};
use super::visible::Place;
use crate::auth::Right;
use crate::error::Failure;
use crate::request::account_id;
use crate::time;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The `next` of the previous page.
    #[param(required = false, value_type = String)]
    pub(super) after: Option<String>,
    /// At most 1,000.
    #[param(required = false, value_type = u32, minimum = 1, default = 100)]
    pub(super) limit: Option<String>,
}

/// Which connection of an integration, and which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ConnectionPageQuery {
    /// The default one if none is named.
    #[param(required = false, value_type = String)]
    connection: Option<String>,
    /// The `next` of the previous page.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// At most 1,000.
    #[param(required = false, value_type = u32, minimum = 1, default = 100)]
    limit: Option<String>,
}

/// How to delete a credential.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteCredentialQuery {
    /// The default one if none is named.
    #[param(required = false, value_type = String)]
    connection: Option<String>,
    /// Also deletes all former versions, so that nothing brings the credential back.
    #[param(required = false, value_type = bool, default = false)]
    purge: Option<String>,
}

/// One scope: the named account or workflow, or the org.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopeQuery {
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    pub(super) workflow_id: Option<String>,
    /// Also shows encrypted values, with the right `reveal`.
    #[param(required = false, value_type = bool, default = false)]
    pub(super) reveal: Option<String>,
}

/// A value at one scope, or a former version of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ValueQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
    /// Also shows an encrypted value, with the right `reveal`.
    #[param(required = false, value_type = bool, default = false)]
    reveal: Option<String>,
    /// A version that the history lists instead of the present one: in plain text, with the right `reveal`.
    #[param(required = false, value_type = String)]
    version: Option<String>,
}

/// Which connection of an integration, and which version of a credential.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CredentialQuery {
    /// The default one if none is named.
    #[param(required = false, value_type = String)]
    connection: Option<String>,
    /// A version that the history lists instead of the present one.
    #[param(required = false, value_type = String)]
    version: Option<String>,
}

/// Where a run is, and which of the variables it sees.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResolveQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
    /// Also shows encrypted values, with the right `reveal`.
    #[param(required = false, value_type = bool, default = false)]
    reveal: Option<String>,
    /// Only this variable: no other is shown or noted in the audit.
    #[param(required = false, value_type = String)]
    name: Option<String>,
}

/// One scope, and which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopePageQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
    /// Also shows encrypted values, with the right `reveal`.
    #[param(required = false, value_type = bool, default = false)]
    reveal: Option<String>,
    /// The `next` of the previous page.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// At most 1,000.
    #[param(required = false, value_type = u32, minimum = 1, default = 100)]
    limit: Option<String>,
}

/// How to delete a value.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
    /// Also deletes all former versions, so that nothing brings the value back.
    #[param(required = false, value_type = bool, default = false)]
    purge: Option<String>,
}

/// Whether to remove the service's own key slot.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveSlotQuery {
    /// Removes it even if the service opened the vault with it.
    #[param(required = false, value_type = bool, default = false)]
    own: Option<String>,
}

/// Which keys and sessions to revoke together with an API key.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RevokeKeyQuery {
    /// Also revokes the keys that it made, directly or through others.
    #[param(required = false, value_type = bool, default = false)]
    with_children: Option<String>,
    /// Also ends all sessions of all linked accounts, including those for which the key issued tokens.
    #[param(required = false, value_type = bool, default = false)]
    with_sessions: Option<String>,
}

/// Whether to report what would be done, and do nothing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRunQuery {
    #[param(required = false, value_type = bool, default = false)]
    dry_run: Option<String>,
}

/// How to delete a linked account.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteAccountQuery {
    /// Says what would be deleted, and deletes nothing.
    #[param(required = false, value_type = bool, default = false)]
    dry_run: Option<String>,
    /// Deletes it also if its own row cannot be read.
    #[param(required = false, value_type = bool, default = false)]
    purge: Option<String>,
}

/// Which events, and which page of their list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only events from this time on, as in `2026-01-31T12:00:00Z`.
    #[param(required = false, value_type = String)]
    since: Option<String>,
    /// Only events from before this time.
    #[param(required = false, value_type = String)]
    until: Option<String>,
    /// Only writes on behalf of this actor or, if the name ends with a colon, of all whose names begin with it.
    #[param(required = false, value_type = String)]
    pub(super) actor: Option<String>,
    /// Only changes of something of this linked account.
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    /// From the newest event to the oldest.
    #[param(required = false, value_type = bool, default = false)]
    newest_first: Option<String>,
    /// The `next` of the previous page, of a list in the same order.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// At most 1,000.
    #[param(required = false, value_type = u32, minimum = 1, default = 100)]
    limit: Option<String>,
}

/// Which page of the matrix.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MatrixQuery {
    /// Only variables whose name contains this, in upper or lower case.
    #[param(required = false, value_type = String)]
    pub(super) search: Option<String>,
    /// Only variables with a required value that is missing in one of the columns.
    #[param(required = false, value_type = bool, default = false)]
    missing: Option<String>,
    /// The rows: the `next` of the previous page.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// At most 200 rows.
    #[param(required = false, value_type = u32, minimum = 1, default = 50)]
    limit: Option<String>,
    /// The columns: one linked account beside the org, instead of a page of them.
    #[param(required = false, value_type = String)]
    pub(super) linked_account_id: Option<String>,
    /// The columns: the `next_columns` of the previous page.
    #[param(required = false, value_type = String)]
    columns_after: Option<String>,
    /// At most 50 linked accounts, beside the org.
    #[param(required = false, value_type = u32, minimum = 0, default = 20)]
    columns: Option<String>,
}

impl PageQuery {
    pub(super) fn request(&self) -> Result<PageRequest, Failure> {
        self.place().map(|place| place.request(place.limit))
    }

    pub(super) fn place(&self) -> Result<Place, Failure> {
        place(self.after.as_deref(), self.limit.as_deref(), (LIMIT_USUAL, PageRequest::LIMIT_MAX))
    }
}

impl CredentialQuery {
    pub(super) fn connection(&self) -> Result<Option<ConnectionId>, Failure> {
        connection(self.connection.as_deref())
    }

    pub(super) fn version(&self) -> Result<Option<Revision>, Failure> {
        version(self.version.as_deref())
    }
}

impl ValueQuery {
    /// The version, where it is, and whether it is shown in plain text. A former one always is: no run sees it, so
    /// whoever does is noted.
    pub(super) fn parts(self) -> Result<(Option<Revision>, Scope, bool), Failure> {
        let Self { linked_account_id, workflow_id, reveal: text, version: number } = self;
        let (number, reveal) = (version(number.as_deref())?, flag("reveal", text.as_deref())?);
        if number.is_some() && text.is_some() && !reveal {
            return Err(Failure::bad_request("a version is shown only in plain text: leave out reveal"));
        }
        let scope = ScopeQuery { linked_account_id, workflow_id, reveal: text }.scope()?;
        Ok((number, scope, reveal || number.is_some()))
    }
}

impl ConnectionPageQuery {
    pub(super) fn connection(&self) -> Result<Option<ConnectionId>, Failure> {
        connection(self.connection.as_deref())
    }

    pub(super) fn place(&self) -> Result<Place, Failure> {
        place(self.after.as_deref(), self.limit.as_deref(), (LIMIT_USUAL, PageRequest::LIMIT_MAX))
    }

    pub(super) fn request(&self) -> Result<PageRequest, Failure> {
        self.place().map(|place| place.request(place.limit))
    }

    /// Whether it asks for a later page than the first.
    pub(super) fn is_continued(&self) -> bool {
        self.after.is_some()
    }
}

impl DeleteCredentialQuery {
    pub(super) fn connection(&self) -> Result<Option<ConnectionId>, Failure> {
        connection(self.connection.as_deref())
    }

    pub(super) fn purges(&self) -> Result<bool, Failure> {
        flag("purge", self.purge.as_deref())
    }
}

impl ScopeQuery {
    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        scope(self.linked_account_id.as_deref(), self.workflow_id.as_deref())
    }

    pub(super) fn account(&self) -> Result<Option<LinkedAccountId>, Failure> {
        account(self.linked_account_id.as_deref())
    }

    /// Refuses a workflow to a key narrowed to some accounts: nothing says to which account a workflow belongs.
    pub(super) fn refuse_workflow(&self, operator: &Operator, right: Right) -> Result<(), Failure> {
        if self.workflow_id.is_some() { operator.may_account(right, None) } else { Ok(()) }
    }

    pub(super) fn path(&self) -> Result<ScopePath, Failure> {
        let workflow = self.workflow_id.as_deref().map(str::parse::<WorkflowId>).transpose();
        Ok(path_of(self.account()?, workflow.map_err(Error::from)?))
    }

    pub(super) fn reveals(&self) -> Result<bool, Failure> {
        flag("reveal", self.reveal.as_deref())
    }
}

impl ResolveQuery {
    /// The one variable, and where the run is.
    pub(super) fn parts(self) -> (Option<String>, ScopeQuery) {
        let Self { linked_account_id, workflow_id, reveal, name } = self;
        (name, ScopeQuery { linked_account_id, workflow_id, reveal })
    }
}

impl ScopePageQuery {
    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        scope(self.linked_account_id.as_deref(), self.workflow_id.as_deref())
    }

    pub(super) fn reveals(&self) -> Result<bool, Failure> {
        flag("reveal", self.reveal.as_deref())
    }

    pub(super) fn request(&self) -> Result<PageRequest, Failure> {
        self.place().map(|place| place.request(place.limit))
    }

    pub(super) fn place(&self) -> Result<Place, Failure> {
        place(self.after.as_deref(), self.limit.as_deref(), (LIMIT_USUAL, PageRequest::LIMIT_MAX))
    }

    /// Whether it asks for a later page than the first.
    pub(super) fn is_continued(&self) -> bool {
        self.after.is_some()
    }
}

impl DeleteQuery {
    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        scope(self.linked_account_id.as_deref(), self.workflow_id.as_deref())
    }

    pub(super) fn purges(&self) -> Result<bool, Failure> {
        flag("purge", self.purge.as_deref())
    }
}

impl RemoveSlotQuery {
    pub(super) fn takes_own(&self) -> Result<bool, Failure> {
        flag("own", self.own.as_deref())
    }
}

impl RevokeKeyQuery {
    pub(super) fn with_children(&self) -> Result<bool, Failure> {
        flag("with_children", self.with_children.as_deref())
    }

    pub(super) fn with_sessions(&self) -> Result<bool, Failure> {
        flag("with_sessions", self.with_sessions.as_deref())
    }
}

impl DryRunQuery {
    pub(super) fn is_dry(&self) -> Result<bool, Failure> {
        flag("dry_run", self.dry_run.as_deref())
    }
}

impl DeleteAccountQuery {
    pub(super) fn is_dry(&self) -> Result<bool, Failure> {
        flag("dry_run", self.dry_run.as_deref())
    }

    pub(super) fn purges(&self) -> Result<bool, Failure> {
        flag("purge", self.purge.as_deref())
    }
}

impl AuditQuery {
    pub(super) fn since(&self) -> Result<Option<Timestamp>, Failure> {
        self.since.as_deref().map(moment).transpose()
    }

    pub(super) fn newest_first(&self) -> Result<bool, Failure> {
        flag("newest_first", self.newest_first.as_deref())
    }

    pub(super) fn until(&self) -> Result<Option<Timestamp>, Failure> {
        self.until.as_deref().map(moment).transpose()
    }

    pub(super) fn account(&self) -> Result<Option<LinkedAccountId>, Failure> {
        account(self.linked_account_id.as_deref())
    }

    pub(super) fn request(&self) -> Result<PageRequest, Failure> {
        page(self.after.as_deref(), self.limit.as_deref(), (LIMIT_USUAL, PageRequest::LIMIT_MAX))
    }
}

impl MatrixQuery {
    pub(super) fn rows(&self) -> Result<Place, Failure> {
        place(self.after.as_deref(), self.limit.as_deref(), (50, 200))
    }

    pub(super) fn columns(&self) -> Result<Option<PageRequest>, Failure> {
        match self.columns.as_deref() {
            Some("0") => Ok(None),
            limit => {
                let limit = size("columns", limit, (20, 50))?;
                let after = cursor("columns_after", self.columns_after.as_deref())?;
                Ok(Some(Place { limit, after }.request(limit)))
            }
        }
    }

    pub(super) fn account(&self) -> Result<Option<LinkedAccountId>, Failure> {
        account(self.linked_account_id.as_deref())
    }

    pub(super) fn only_missing(&self) -> Result<bool, Failure> {
        flag("missing", self.missing.as_deref())
    }
}

/// Exactly one scope.
pub(super) fn scope(account: Option<&str>, workflow: Option<&str>) -> Result<Scope, Failure> {
    match (account, workflow) {
        (None, None) => Ok(Scope::Org),
        (Some(account), None) => account_id(account).map(Scope::LinkedAccount),
        (None, Some(workflow)) => Ok(Scope::Workflow(workflow.parse().map_err(Error::from)?)),
        (Some(_), Some(_)) => {
            Err(Failure::bad_request("linked_account_id and workflow_id must not stand together"))
        }
    }
}

/// A moment as ISO 8601.
pub(super) fn moment(text: &str) -> Result<Timestamp, Failure> {
    let wrong =
        || Failure::bad_request("a time is written as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00");
    time::moment(text).ok_or_else(wrong)
}

/// The name of a variable.
pub(super) fn name(text: &str) -> Result<DefinitionName, Failure> {
    Ok(text.parse().map_err(Error::from)?)
}

fn account(text: Option<&str>) -> Result<Option<LinkedAccountId>, Failure> {
    text.map(account_id).transpose()
}

fn version(text: Option<&str>) -> Result<Option<Revision>, Failure> {
    let parsed = text.map(|text| text.parse().map(Revision::from_u64)).transpose();
    parsed.map_err(|_| Failure::bad_request("version is not one of the history"))
}

fn flag(name: &str, text: Option<&str>) -> Result<bool, Failure> {
    match text {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(Failure::bad_request(format!("{name} must be true or false"))),
    }
}

fn page(after: Option<&str>, limit: Option<&str>, range: (usize, usize)) -> Result<PageRequest, Failure> {
    place(after, limit, range).map(|place| place.request(place.limit))
}

fn place(after: Option<&str>, limit: Option<&str>, range: (usize, usize)) -> Result<Place, Failure> {
    Ok(Place { limit: size("limit", limit, range)?, after: cursor("after", after)? })
}

fn size(name: &str, text: Option<&str>, (usual, max): (usize, usize)) -> Result<usize, Failure> {
    let Some(text) = text else { return Ok(usual) };
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| Failure::bad_request(format!("{name} must be a number from 1 to {max}")))
}

fn cursor(name: &str, text: Option<&str>) -> Result<Option<Cursor>, Failure> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|_| Failure::bad_request(format!("{name} is not the next of a page")))
}

const LIMIT_USUAL: usize = 100;
