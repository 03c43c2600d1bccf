//! Which orgs a vault holds, and in which environments.

use crate::error::Error;
use crate::id::{Environment, OrgId};
use crate::model::{Cursor, Listing, PageRequest};
use crate::row::{TenantId, VaultKeys};
use crate::store::{KeyRange, Scan};
use crate::verbs::vault::Vault;

impl Vault {
    /// The environments in which orgs have rows, in the order of the orgs' ids. One whose last variable and account was
    /// deleted still has its keys, and stays in the list. Costs one read for each, however much is in it.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, PageRequest, VarFormat, VariableDefinition};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let found = vault.environments(PageRequest::default()).await?.items;
    /// assert_eq!(found, [(*org.id(), Environment::test())]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Locked`].
    pub async fn environments(&self, page: PageRequest) -> Result<Listing<(OrgId, Environment)>, Error> {
        let mut rest = VaultKeys::tenants();
        // A cursor leaves out the first byte of the key, which is the same for every org.
        let first = rest.start.clone();
        if let Some(cursor) = &page.after {
            rest.start = [&first, cursor.0.as_slice()].concat();
        }
        let mut items = Vec::new();
        loop {
            let found = self.engine.read(Scan::new(rest.clone(), 1).keys_only()).await?;
            let Some((key, _)) = found.rows.into_iter().next() else {
                return Ok(Listing { items, next: None });
            };
            if items.len() == page.limit {
                let next = rest.start.get(first.len()..).map(|rest| Cursor(rest.to_vec()));
                return Ok(Listing { items, next });
            }
            rest = match TenantId::of_key(&key) {
                Some(tenant) => {
                    let behind = tenant.all().end;
                    items.push((tenant.org, tenant.environment.clone()));
                    // A prefix that ends with a NUL always has an end.
                    let Some(behind) = behind else { return Ok(Listing { items, next: None }) };
                    KeyRange { start: behind, end: rest.end }
                }
                // A key that is not in the format belongs to no org.
                None => rest.after(key.as_bytes()),
            };
        }
    }
}
