//! The handle of one org in one environment.

use std::sync::Arc;

use crate::engine::Engine;
use crate::id::{Environment, LinkedAccountId, Namespace, OrgId};
use crate::model::Actor;
use crate::tenant::{RecordAccess, Tenant};
use crate::verbs::account::Account;
use crate::verbs::records::Records;

/// One org in one environment. None of its verbs reaches another org or environment.
///
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Org {
    pub(crate) tenant: Arc<Tenant>,
}

impl Org {
    pub(crate) fn new(engine: Arc<Engine>, org: OrgId, environment: Environment) -> Self {
        Self { tenant: Arc::new(Tenant::new(engine, org, environment)) }
    }

    /// The same org, on behalf of `actor`: every write of this handle, and of handles made from it, names the actor as
    /// its author.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let alice = org.acting_as("user:alice".parse()?);
    /// let change = strongroom::DefinitionChange::new().description("where to listen");
    /// let changed = alice.update_definition("PORT", change).await?;
    /// assert_eq!(changed.definition.author.as_deref(), Some("user:alice"));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { tenant: Arc::new(self.tenant.acting_as(actor)) }
    }

    /// The same org for the verbs that a verb is made of.
    pub(crate) fn unobserved(&self) -> Self {
        Self { tenant: Arc::new(self.tenant.unobserved()) }
    }

    /// The actor on whose behalf the handle acts.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.tenant.actor.as_ref()
    }

    /// The id of the org.
    #[must_use]
    pub fn id(&self) -> &OrgId {
        &self.tenant.id.org
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.tenant.id.environment
    }

    /// The handle of one linked account. No I/O: the account need not be registered.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let account = org.account("user_12345".parse()?);
    /// account.set_value("PORT", "80").await?;
    /// assert!(org.account("user_6".parse()?).value("PORT").await?.is_none()); // each has its own
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn account(&self, account: LinkedAccountId) -> Account {
        Account::new(self.clone(), account)
    }

    /// The host's own sealed records in a namespace. Records in a [reserved](Namespace::is_reserved) namespace can be
    /// read, but a write fails with [`Invalid::ReservedNamespace`](crate::Invalid::ReservedNamespace).
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let (notes, visits) = (org.records("notes".parse()?), org.records("visits".parse()?));
    /// notes.put(&"a".parse()?, "user_12345").await?;
    /// assert!(visits.get(&"a".parse()?).await?.is_none()); // each namespace has its own
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn records(&self, namespace: Namespace) -> Records {
        Records::new(self.clone(), namespace, RecordAccess::Host)
    }

    /// [`records`](Self::records) whose namespace may be a reserved one. Only for code that serves this vault, such as
    /// `strongroom-http`: writing there makes API keys and sessions.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, Invalid};
    /// let refused = org.records("api-key".parse()?).put(&"a".parse()?, "{}").await;
    /// assert!(matches!(refused, Err(Error::Invalid(Invalid::ReservedNamespace(_)))));
    /// org.reserved_records("api-key".parse()?).put(&"a".parse()?, "{}").await?;
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn reserved_records(&self, namespace: Namespace) -> Records {
        Records::new(self.clone(), namespace, RecordAccess::Reserved)
    }
}
