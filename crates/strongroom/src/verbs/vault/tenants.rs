//! The orgs of a vault, and the environments of an org.

use std::sync::Arc;

use crate::error::Error;
use crate::id::{Environment, OrgId};
use crate::model::{Cursor, CursorError, ListId, Listing, PageRequest};
use crate::row::{TenantId, VaultKeys};
use crate::store::{KeyRange, Scan};
use crate::tenant::Needs;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

impl Vault {
    /// The orgs that have rows, in the order of their ids. A shredded org is listed too, since the list of its
    /// destroyed keys stays. It costs one read for each org, however many rows the org has.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, PageRequest, VarFormat, VariableDefinition};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// assert_eq!(vault.orgs(PageRequest::first(100)).await?.items, [*org.id()]);
    /// assert_eq!(org.environments().await?, [Environment::test()]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor).
    pub async fn orgs(&self, page: PageRequest) -> Result<Listing<OrgId>, Error> {
        let all = VaultKeys::tenants();
        let list = ListId { name: "orgs", start: &all.start };
        let mut rest = all.clone();
        if let Some(place) = page.place_in(list)? {
            let last = OrgId::from_bytes(place).ok_or(CursorError)?;
            rest.start = VaultKeys::org(&last).end.unwrap_or(rest.start);
        }
        let mut items: Vec<OrgId> = Vec::new();
        while let Some(tenant) = self.next_tenant(&mut rest).await? {
            if items.len() == page.limit {
                let next = items.last().map(|last| Cursor::new(list, last.as_bytes()));
                return Ok(Listing { items, next });
            }
            items.push(tenant.org);
            let Some(end) = VaultKeys::org(&tenant.org).end else { break };
            rest.start = end;
        }
        Ok(Listing { items, next: None })
    }

    /// The tenant of the first row in the range that has one. Drops the rows before that one from the range.
    async fn next_tenant(&self, rest: &mut KeyRange) -> Result<Option<TenantId>, Error> {
        while !rest.is_empty() {
            let page = self.engine.read(Scan::new(rest.clone(), 1).keys_only()).await?;
            let Some((key, _)) = page.rows.first() else { return Ok(None) };
            if let Some(tenant) = TenantId::of_key(key) {
                return Ok(Some(tenant));
            }
            // A row without a tenant: `verify` reports it, and it does not hide the rest.
            *rest = rest.clone().after(key.as_bytes());
        }
        Ok(None)
    }
}

impl Org {
    /// The environments in which this org has something, in the byte order of their names: not those that were shredded
    /// and not used since. Two reads for each, and one more.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// assert_eq!(org.environments().await?, [org.environment().clone()]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::RestoreUnfinished`], [`Error::Store`].
    pub async fn environments(&self) -> Result<Vec<Environment>, Error> {
        self.tenant.engine.refuse_restoring(self.id()).await?;
        let vault = Vault { engine: Arc::clone(&self.tenant.engine) };
        let mut rest = VaultKeys::org(self.id());
        let mut found = Vec::new();
        while let Some(tenant) = vault.next_tenant(&mut rest).await? {
            let end = tenant.all().end;
            if !vault.org(tenant.org, tenant.environment.clone()).is_shredded().await? {
                found.push(tenant.environment);
            }
            let Some(end) = end else { break };
            rest.start = end;
        }
        Ok(found)
    }

    /// Whether everything of the org was shredded, as far as its keys can be read, and no shred of it is unfinished,
    /// even if the job of that is lost.
    async fn is_shredded(&self) -> Result<bool, Error> {
        let tenant = &self.tenant;
        match tenant.read(&Needs::org_keys(), ()).await {
            Ok((view, ())) => {
                Ok(view.is_shredded() && !tenant.has_rows([tenant.id.jobs(), tenant.id.shredded()]).await?)
            }
            Err(error @ Error::Store(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}
