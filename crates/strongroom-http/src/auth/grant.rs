//! What an API key may do, and to which names and accounts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strongroom::LinkedAccountId;

/// One right of an API key. None implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// The documented calls under `/api/v2/public`, with the whole org in the key's environment. The right of a key for
    /// which no other is requested.
    Documented,
    /// Definitions, accounts, history, and values that are not encrypted.
    Read,
    /// Sets and deletes values and credentials, defines variables and changes definitions, registers accounts.
    Write,
    /// Encrypted values and credentials in plain text. Each use is noted in the audit of a vault that has one.
    Reveal,
    /// API keys and sessions, the audit, and deletions of definitions and accounts.
    Admin,
    /// The vault as a whole, for all its orgs: jobs, rotation of data keys, key slots, checks and backups.
    Operate,
}

/// A text that is not the name of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRight;

/// What an API key may do, and to which names and accounts. Nothing can be added to it later.
///
/// ```
/// use strongroom_http::{Grant, Right};
/// let deploy = Grant::of([Right::Read, Right::Reveal]).only_names(["DATABASE_URL", "SMTP_*"])?;
/// assert!(deploy.has(Right::Reveal) && !deploy.has(Right::Write));
/// assert!(deploy.takes_name("SMTP_HOST") && !deploy.takes_name("JWT"));
/// # Ok::<(), strongroom_http::GrantError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Sorted, each once.
    rights: Vec<Right>,
    /// Names, or prefixes before a `*`. Empty for all.
    names: Vec<String>,
    /// Empty for all accounts, and for the values of the org and of workflows.
    accounts: Vec<LinkedAccountId>,
}

/// Why a grant cannot be narrowed as requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantError {
    /// A name is empty or too long.
    Name,
    /// There are too many names or accounts.
    TooMany,
    /// There is no name or no account, which would narrow it to nothing.
    Nothing,
    /// It has a right that reaches beyond names and accounts: only `read`, `write` and `reveal` can be narrowed.
    Unbounded(Right),
}

/// A grant as stored in the record of its key. If it is narrowed in a way of a later release, the key is not valid
/// here: an unknown restriction must not widen it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantRow {
    rights: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<LinkedAccountId>,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Documented, Self::Read, Self::Write, Self::Reveal, Self::Admin, Self::Operate];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Read => "read",
            Self::Write => "write",
            Self::Reveal => "reveal",
            Self::Admin => "admin",
            Self::Operate => "operate",
        }
    }

    fn can_be_narrowed(self) -> bool {
        match self {
            Self::Read | Self::Write | Self::Reveal => true,
            Self::Documented | Self::Admin | Self::Operate => false,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        Self::ALL.into_iter().find(|right| right.as_str() == text).ok_or(UnknownRight)
    }
}

impl fmt::Display for UnknownRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a right is documented, read, write, reveal, admin or operate")
    }
}

impl std::error::Error for UnknownRight {}

impl Default for Grant {
    fn default() -> Self {
        Self::of([Right::Documented])
    }
}

impl Grant {
    /// These rights, for the whole org in the key's environment.
    #[must_use]
    pub fn of(rights: impl IntoIterator<Item = Right>) -> Self {
        let mut rights: Vec<_> = rights.into_iter().collect();
        rights.sort_unstable();
        rights.dedup();
        Self { rights, names: Vec::new(), accounts: Vec::new() }
    }

    /// The same, only for variables with these names; a name that ends in `*` covers all that begin with it. At most
    /// 100.
    ///
    /// # Errors
    /// [`GrantError`] for a name that is empty or longer than 256 bytes, for no names or too many, and for a right that
    /// cannot be narrowed.
    pub fn only_names<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, GrantError> {
        self.names = names.into_iter().map(Into::into).collect();
        if self.names.iter().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(GrantError::Name);
        }
        if self.names.is_empty() { Err(GrantError::Nothing) } else { self.bounded() }
    }

    /// The same, only for the values and credentials of these linked accounts, and for what a run within one of them
    /// sees. At most 100.
    ///
    /// # Errors
    /// [`GrantError`] for no accounts or too many, and for a right that cannot be narrowed.
    pub fn only_accounts(
        mut self,
        accounts: impl IntoIterator<Item = LinkedAccountId>,
    ) -> Result<Self, GrantError> {
        self.accounts = accounts.into_iter().collect();
        if self.accounts.is_empty() { Err(GrantError::Nothing) } else { self.bounded() }
    }

    fn bounded(self) -> Result<Self, GrantError> {
        if self.names.len() > PLACES_MAX || self.accounts.len() > PLACES_MAX {
            return Err(GrantError::TooMany);
        }
        match self.rights.iter().find(|right| !right.can_be_narrowed()) {
            Some(right) if self.is_narrowed() => Err(GrantError::Unbounded(*right)),
            _ => Ok(self),
        }
    }

    /// The rights, in a fixed order.
    pub fn rights(&self) -> impl Iterator<Item = Right> {
        self.rights.iter().copied()
    }

    /// The names to which it is narrowed; empty for all.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The accounts to which it is narrowed; empty for the whole org.
    #[must_use]
    pub fn accounts(&self) -> &[LinkedAccountId] {
        &self.accounts
    }

    /// Whether it has this right, at least for some names and accounts.
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether it covers variables of this name.
    #[must_use]
    pub fn takes_name(&self, name: &str) -> bool {
        let takes = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        };
        self.names.is_empty() || self.names.iter().any(takes)
    }

    /// Whether it covers this linked account; `None` stands for data of the org or of a workflow.
    #[must_use]
    pub fn takes_account(&self, account: Option<&LinkedAccountId>) -> bool {
        self.accounts.is_empty() || account.is_some_and(|account| self.accounts.contains(account))
    }

    /// Whether it covers less than the whole org.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !self.names.is_empty() || !self.accounts.is_empty()
    }

    /// Whether this grant allows everything that `other` allows.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let has_rights = other.rights.iter().all(|right| self.has(*right));
        let has_names = self.names.is_empty()
            || !other.names.is_empty() && other.names.iter().all(|name| self.names.contains(name));
        let has_accounts = self.accounts.is_empty()
            || !other.accounts.is_empty() && other.accounts.iter().all(|id| self.accounts.contains(id));
        has_rights && has_names && has_accounts
    }

    pub(super) fn row(&self) -> GrantRow {
        GrantRow {
            rights: self.rights.iter().map(|right| right.as_str().to_owned()).collect(),
            names: self.names.clone(),
            accounts: self.accounts.clone(),
        }
    }

    /// The grant of a record. A right of a later release is dropped.
    pub(super) fn of_row(row: Option<GrantRow>) -> Self {
        let Some(row) = row else { return Self::default() };
        let rights = row.rights.iter().filter_map(|right| right.parse().ok());
        Self { names: row.names, accounts: row.accounts, ..Self::of(rights) }
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a name of a grant has 1 to {NAME_BYTES_MAX} bytes"),
            Self::Nothing => f.write_str("a grant that is narrowed names at least one variable or account"),
            Self::TooMany => {
                write!(f, "a grant names at most {PLACES_MAX} variables and {PLACES_MAX} accounts")
            }
            Self::Unbounded(right) => {
                write!(
                    f,
                    "the right {right} cannot be narrowed to names or accounts; read, write and reveal can"
                )
            }
        }
    }
}

impl std::error::Error for GrantError {}

const NAME_BYTES_MAX: usize = 256;
const PLACES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_no_key_that_may_do_more() {
        let read = Grant::of([Right::Read]);
        let narrow = Grant::of([Right::Read]).only_names(["A*"]).unwrap();
        assert!(read.covers(&narrow) && !narrow.covers(&read) && narrow.covers(&narrow));
        assert!(!read.covers(&Grant::of([Right::Read, Right::Write])));
        let other = Grant::of([Right::Read]).only_names(["B"]).unwrap();
        assert!(!narrow.covers(&other));
    }

    #[test]
    fn a_key_of_some_accounts_makes_no_key_of_others() {
        let of = |ids: &[&str]| {
            let ids = ids.iter().map(|id| id.parse::<LinkedAccountId>().unwrap());
            Grant::of([Right::Read]).only_accounts(ids).unwrap()
        };
        let all = Grant::of([Right::Read]);
        assert!(all.covers(&of(&["a"])) && of(&["a", "b"]).covers(&of(&["a"])));
        assert!(!of(&["a"]).covers(&all) && !of(&["a"]).covers(&of(&["a", "b"])));
    }

    #[test]
    fn it_names_as_many_places_as_are_allowed_and_no_more() {
        let names = |len, count| Grant::of([Right::Read]).only_names(vec!["N".repeat(len); count]);
        let accounts = |count: usize| {
            let ids = (0..count).map(|number| number.to_string().parse::<LinkedAccountId>().unwrap());
            Grant::of([Right::Read]).only_accounts(ids)
        };
        assert!(names(NAME_BYTES_MAX, PLACES_MAX).is_ok() && accounts(PLACES_MAX).is_ok());
        assert_eq!(names(NAME_BYTES_MAX + 1, 1), Err(GrantError::Name));
        for count in [PLACES_MAX + 1, PLACES_MAX + 2] {
            assert_eq!(names(1, count), Err(GrantError::TooMany));
            assert_eq!(accounts(count), Err(GrantError::TooMany));
        }
    }

    #[test]
    fn a_row_that_is_narrowed_in_a_way_of_a_later_release_is_none() {
        let row = |text: &str| serde_json::from_str::<GrantRow>(text).is_ok();
        assert!(row(r#"{"rights":["read","of_later"]}"#));
        assert!(!row(r#"{"rights":["read"],"workflows":["wf_1"]}"#));
    }

    #[test]
    fn what_reaches_beyond_names_is_not_narrowed() {
        for right in [Right::Documented, Right::Admin, Right::Operate] {
            assert_eq!(Grant::of([right]).only_names(["A"]), Err(GrantError::Unbounded(right)));
        }
        let read = || Grant::of([Right::Read]);
        assert_eq!(read().only_names([""; 0]), Err(GrantError::Nothing));
        assert_eq!(read().only_accounts([]), Err(GrantError::Nothing));
        let account: LinkedAccountId = "a".parse().unwrap();
        let narrow = Grant::of([Right::Reveal]).only_accounts([account.clone()]).unwrap();
        assert!(narrow.takes_account(Some(&account)) && !narrow.takes_account(None));
    }

    #[test]
    fn a_record_reads_back_and_one_without_a_grant_is_documented() {
        let grant = Grant::of([Right::Write, Right::Read]).only_names(["A"]).unwrap();
        assert_eq!(Grant::of_row(Some(grant.row())), grant);
        assert_eq!(Grant::of_row(None), Grant::of([Right::Documented]));
        let later = GrantRow { rights: vec!["later".to_owned()], names: Vec::new(), accounts: Vec::new() };
        assert_eq!(Grant::of_row(Some(later)).rights().count(), 0);
    }
}
