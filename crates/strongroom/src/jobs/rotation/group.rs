//! Which key scopes a rotation of data keys works on at once: up to 32 of one org, so that a batch serves many keys.

use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Damage, Error};
use crate::id::{DocumentId, LinkedAccountId};
use crate::model::Revision;
use crate::row::body::{CursorBody, DataKeysBody, DataPhase, PassBody, PassScope, Reach};
use crate::row::{TenantId, VaultKeys};
use crate::store::{Key, KeyRange, Page, Scan};
use crate::tenant::{Needs, Registration, Tenant, View};

/// Key scopes of one org.
pub(crate) struct Group {
    pub(crate) tenant: Tenant,
    /// The owners of the keyrings: the org (`None`), or an account.
    pub(crate) owners: Vec<Option<LinkedAccountId>>,
    /// The one registration of the account whose keys are meant.
    registration: Option<Registration>,
}

impl Group {
    /// The first selected key scopes whose keyrings come after `after`; `None` after the last.
    pub(crate) async fn next(
        engine: &Arc<Engine>,
        task: &DataKeysBody,
        after: Option<&[u8]>,
    ) -> Result<Option<Self>, Error> {
        let mut rest = match selected_tenant(engine, task)? {
            Some((tenant, account)) if task.reach == Reach::Own => {
                let registration = registration_of(task, account.as_ref());
                return Ok(after.is_none().then(|| Self { tenant, owners: vec![account], registration }));
            }
            Some((tenant, _)) => tenant.id.keyrings(),
            None => VaultKeys::tenants(),
        };
        if let Some(after) = after {
            rest = rest.after(after);
        }
        loop {
            let scan = Scan::new(rest.clone(), SCOPES_MAX).keys_only();
            let page = engine.read(scan).await?;
            let Some((key, _)) = page.rows.first() else { return Ok(None) };
            // A key that is not in the format: there is no tenant to skip over, only this row.
            let Some(id) = TenantId::of_key(key) else {
                rest = rest.after(key.as_bytes());
                continue;
            };
            let owners: Vec<_> = page.rows.iter().map_while(|(key, _)| id.parse_keyring(key)).collect();
            if !owners.is_empty() {
                let tenant = Tenant::of(Arc::clone(engine), id);
                return Ok(Some(Self { tenant, owners, registration: None }));
            }
            rest = match id.all().end {
                // No keyring, and perhaps none of the format's rows, but keyrings may follow.
                _ if !id.is_behind_keyrings(key) => rest.after(key.as_bytes()),
                // Keyrings are the first rows of a tenant, so it has no more: go to the next tenant.
                Some(end) => KeyRange { start: rest.start.max(end), end: rest.end },
                None => return Ok(None),
            };
        }
    }

    /// The key scopes of a pass that is under way.
    pub(crate) fn of_pass(engine: &Arc<Engine>, task: &DataKeysBody, pass: &PassBody) -> Result<Self, Error> {
        let malformed = || Error::damaged("a job row", Damage::Malformed);
        let keyrings: Vec<_> = pass.scopes.iter().map(|scope| Key::from(scope.keyring.to_vec())).collect();
        let id = keyrings.first().and_then(TenantId::of_key).ok_or_else(malformed)?;
        let owners = keyrings.iter().map(|keyring| id.parse_keyring(keyring));
        let owners = owners.collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        let registration = owners.first().and_then(|owner| registration_of(task, owner.as_ref()));
        Ok(Self { tenant: Tenant::of(Arc::clone(engine), id), owners, registration })
    }

    /// The accounts among the owners.
    pub(crate) fn accounts(&self) -> Vec<&LinkedAccountId> {
        self.owners.iter().flatten().collect()
    }

    /// Reads the keys of the org and of `accounts`, and pages of rows, in one snapshot. Returns
    /// [`Error::AccountNotFound`] once the registration has ended.
    pub(crate) async fn read<'a>(
        &self,
        accounts: &'a [&'a LinkedAccountId],
        pages: Vec<Scan>,
    ) -> Result<(View<'a>, Vec<Page>), Error> {
        let needs = Needs::org_keys().accounts(accounts);
        let read = self.tenant.read(&needs, pages).await?;
        if let Some(registration) = &self.registration {
            // After the keys were read. A delete that comes later changes the keyring, which every batch expects.
            self.tenant.refuse_ended(registration).await?;
        }
        Ok(read)
    }

    /// The scope of an owner in a pass that begins at this revision of its keyring.
    pub(crate) fn in_pass(&self, owner: Option<&LinkedAccountId>, revision: Revision) -> PassScope {
        let keyring = self.tenant.id.keyring(owner).key();
        PassScope { keyring: keyring.as_bytes().to_vec().into(), revision: revision.as_u64(), failed: 0 }
    }

    /// The phase that looks for the scopes after these.
    pub(crate) fn phase_after(&self) -> DataPhase {
        let last = self.owners.iter().map(|owner| self.tenant.id.keyring(owner.as_ref()).key()).max();
        DataPhase::Seek { after: last.map(|key| key.as_bytes().to_vec().into()) }
    }

    /// The phase that continues a pass over scopes of the group, or looks for others if it has none.
    pub(crate) fn phase_of(&self, pass: PassBody) -> DataPhase {
        if pass.scopes.is_empty() { self.phase_after() } else { DataPhase::Pass(pass) }
    }
}

/// The org and account that the job is limited to; `None` if it covers every org.
pub(crate) fn selected_tenant(
    engine: &Arc<Engine>,
    task: &DataKeysBody,
) -> Result<Option<(Tenant, Option<LinkedAccountId>)>, Error> {
    let malformed = || Error::damaged("a job row", Damage::Malformed);
    let (Some(org), Some(environment)) = (&task.org, &task.environment) else { return Ok(None) };
    let org = org.parse().map_err(|_| malformed())?;
    let environment = environment.parse().map_err(|_| malformed())?;
    let account = task.account.as_deref().map(str::parse).transpose().map_err(|_| malformed())?;
    Ok(Some((Tenant::new(Arc::clone(engine), org, environment), account)))
}

fn registration_of(task: &DataKeysBody, account: Option<&LinkedAccountId>) -> Option<Registration> {
    let id = DocumentId::from_bytes(&task.registration?);
    Some(Registration { account: account?.clone(), id })
}

/// The rest of the range that the cursor is in; `None` after the last range.
pub(crate) fn remaining(ranges: &[KeyRange], at: &CursorBody) -> Option<KeyRange> {
    let range = ranges.get(usize::from(at.range))?.clone();
    Some(match &at.after {
        Some(after) => range.after(after),
        None => range,
    })
}

/// With the longest ids, the keys of their keyrings fill a sixth of the job's row.
const SCOPES_MAX: usize = 32;
