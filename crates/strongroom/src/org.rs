//! The handle of one org in one environment.

use std::sync::Arc;

use crate::account::Account;
use crate::engine::Engine;
use crate::id::{Environment, LinkedAccountId, Namespace, OrgId};
use crate::records::Records;
use crate::tenant::Tenant;

/// One org in one environment. Every verb of it stays there; nothing crosses to another.
///
/// Cheap to clone. The verbs stand beside their nouns: `definitions`, `values`, `resolve`, `accounts`,
/// `credentials`, `records`.
#[derive(Debug, Clone)]
pub struct Org {
    pub(crate) tenant: Arc<Tenant>,
}

impl Org {
    pub(crate) fn new(engine: Arc<Engine>, org: OrgId, environment: Environment) -> Self {
        Self { tenant: Arc::new(Tenant::new(engine, org, environment)) }
    }

    /// Which org.
    #[must_use]
    pub fn id(&self) -> &OrgId {
        &self.tenant.org
    }

    /// In which environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.tenant.environment
    }

    /// The handle of one linked account, which can reach only its own. No I/O: the account need not be registered.
    #[must_use]
    pub fn account(&self, account: LinkedAccountId) -> Account {
        Account::new(self.clone(), account)
    }

    /// The host's own sealed records in a namespace.
    #[must_use]
    pub fn records(&self, namespace: Namespace) -> Records {
        Records::new(self.clone(), namespace)
    }
}
