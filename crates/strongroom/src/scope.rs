//! Scopes: where a value is set, and the order in which a resolver looks.

use std::borrow::Cow;
use std::fmt;

use crate::id::LinkedAccountId;
use crate::id::WorkflowId;

/// The place at which a value is set. Verbs take it by value or by reference.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::Scope;
/// let nightly = Scope::Workflow("nightly".parse()?);
/// org.set_value("PORT", &nightly, "8080").await?;
/// assert!(org.value("PORT", &nightly).await?.is_some());
/// assert!(org.value("PORT", Scope::Org).await?.is_none());
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Scope {
    /// The whole org, within its environment.
    Org,
    /// One linked account.
    LinkedAccount(LinkedAccountId),
    /// One workflow.
    Workflow(WorkflowId),
}

impl Scope {
    /// The kind of this scope.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Org => ScopeKind::Org,
            Self::LinkedAccount(_) => ScopeKind::LinkedAccount,
            Self::Workflow(_) => ScopeKind::Workflow,
        }
    }

    /// The account whose keys seal values at this scope; `None` if the org's keys do.
    pub(crate) fn linked_account(&self) -> Option<&LinkedAccountId> {
        match self {
            Self::LinkedAccount(id) => Some(id),
            Self::Org | Self::Workflow(_) => None,
        }
    }

    pub(crate) fn workflow(&self) -> Option<&WorkflowId> {
        match self {
            Self::Workflow(id) => Some(id),
            Self::Org | Self::LinkedAccount(_) => None,
        }
    }
}

impl From<Scope> for Cow<'_, Scope> {
    fn from(scope: Scope) -> Self {
        Cow::Owned(scope)
    }
}

impl<'a> From<&'a Scope> for Cow<'a, Scope> {
    fn from(scope: &'a Scope) -> Self {
        Cow::Borrowed(scope)
    }
}

/// Shows the kind and the id.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org => f.write_str("org"),
            Self::LinkedAccount(id) => write!(f, "linked_account {id}"),
            Self::Workflow(id) => write!(f, "workflow {id}"),
        }
    }
}

/// One of the three kinds of scope, by its wire name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ScopeKind {
    /// `org`
    Org,
    /// `linked_account`
    LinkedAccount,
    /// `workflow`
    Workflow,
}

impl ScopeKind {
    /// All three, least specific first.
    pub const ALL: [Self; 3] = [Self::Org, Self::LinkedAccount, Self::Workflow];

    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::LinkedAccount => "linked_account",
            Self::Workflow => "workflow",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Org => 1,
            Self::LinkedAccount => 2,
            Self::Workflow => 4,
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ScopeKind {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownScope)
    }
}

/// A text that is not the name of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is `org`, `linked_account` or `workflow`")]
pub struct UnknownScope;

/// The set of scopes at which a definition allows a value. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// All three.
    pub const ALL: Self = Self(7);

    /// Exactly one.
    #[must_use]
    pub fn only(kind: ScopeKind) -> Self {
        Self(kind.bit())
    }

    /// This set, and `kind` too.
    #[must_use]
    pub fn and(self, kind: ScopeKind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub fn allows(self, kind: ScopeKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The scopes of the set, least specific first.
    pub fn iter(self) -> impl Iterator<Item = ScopeKind> {
        ScopeKind::ALL.into_iter().filter(move |kind| self.allows(*kind))
    }

    /// The scopes in this set that are not in `other`; `None` if there are none.
    pub(crate) fn without(self, other: Self) -> Option<Self> {
        Self::from_bits(self.0 & !other.0)
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        // Three bits, at least one of them set.
        (1..=7).contains(&bits).then_some(Self(bits))
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits =
            Vec::<ScopeKind>::deserialize(deserializer)?.into_iter().fold(0, |bits, kind| bits | kind.bit());
        Self::from_bits(bits).ok_or_else(|| serde::de::Error::custom("at least one scope is required"))
    }
}

/// The scopes that a run can see. A resolver looks at them in order, most specific first.
///
/// ```
/// use strongroom::ScopePath;
/// let run = ScopePath::org().linked_account("user_12345".parse()?).workflow("wf_1".parse()?);
/// assert_eq!(run.scopes().count(), 3);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ScopePath {
    linked_account: Option<Scope>,
    workflow: Option<Scope>,
    strictness: Strictness,
}

/// Which parts of a path must be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Strictness {
    #[default]
    Nothing,
    Account,
    AccountAndWorkflow,
}

impl ScopePath {
    /// Only the org.
    #[must_use]
    pub fn org() -> Self {
        Self::default()
    }

    /// The same path within a linked account.
    #[must_use]
    pub fn linked_account(mut self, id: LinkedAccountId) -> Self {
        self.linked_account = Some(Scope::LinkedAccount(id));
        self
    }

    /// The same path within a workflow.
    #[must_use]
    pub fn workflow(mut self, id: WorkflowId) -> Self {
        self.workflow = Some(Scope::Workflow(id));
        self
    }

    /// The same path, refused if its linked account is not registered or no value is set at its workflow: otherwise a
    /// mistyped id silently runs with the values of the org. Costs one or two more reads. It still falls back to the
    /// org; the account's own value is [`Account::value`](crate::Account::value).
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Error, Scope, ScopePath};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let typo = ScopePath::org().linked_account("usr_12345".parse()?);
    /// assert!(org.resolve("PORT", &typo).await?.is_some());
    /// assert!(matches!(org.resolve("PORT", &typo.strict()).await, Err(Error::AccountNotFound(_))));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strictness = Strictness::AccountAndWorkflow;
        self
    }

    /// The same path, refused if its linked account is not registered, whatever its workflow: a new workflow has no
    /// values of its own yet, and [`strict`](Self::strict) would refuse it. Costs one more read.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Error, ScopePath};
    /// let account = org.create_account("user_12345".parse()?).await?;
    /// let known = ScopePath::org().linked_account(account.id().clone()).workflow("new".parse()?);
    /// assert!(org.resolve("PORT", &known.strict_account()).await?.is_none());
    /// let typo = ScopePath::org().linked_account("usr_12345".parse()?).strict_account();
    /// assert!(matches!(org.resolve("PORT", &typo).await, Err(Error::AccountNotFound(_))));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn strict_account(mut self) -> Self {
        self.strictness = self.strictness.max(Strictness::Account);
        self
    }

    /// The scopes of the path, most specific first: workflow, linked account, org.
    pub fn scopes(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        [self.workflow.as_ref(), self.linked_account.as_ref(), Some(&Scope::Org)].into_iter().flatten()
    }

    pub(crate) fn account_id(&self) -> Option<&LinkedAccountId> {
        self.linked_account.as_ref().and_then(Scope::linked_account)
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strictness != Strictness::Nothing
    }

    /// The account that must be registered.
    pub(crate) fn account_to_know(&self) -> Option<&LinkedAccountId> {
        self.account_id().filter(|_| self.is_strict())
    }

    /// The workflow that must have a value.
    pub(crate) fn workflow_to_know(&self) -> Option<&Scope> {
        self.workflow.as_ref().filter(|_| self.strictness == Strictness::AccountAndWorkflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_walked_most_specific_first() {
        let path = ScopePath::org().workflow("w".parse().unwrap()).linked_account("a".parse().unwrap());
        let kinds: Vec<_> = path.scopes().map(Scope::kind).collect();
        assert_eq!(kinds, [ScopeKind::Workflow, ScopeKind::LinkedAccount, ScopeKind::Org]);
    }

    #[test]
    fn a_set_of_scopes_is_never_empty() {
        assert_eq!(Scopes::from_bits(0), None);
        assert_eq!(Scopes::from_bits(8), None);
        let two = Scopes::only(ScopeKind::Org).and(ScopeKind::Workflow);
        assert!(two.allows(ScopeKind::Org) && !two.allows(ScopeKind::LinkedAccount));
        assert_eq!(Scopes::from_bits(two.bits()), Some(two));
    }
}
