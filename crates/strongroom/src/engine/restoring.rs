//! Orgs that are being restored into the vault. A note names each until its restore is complete: until then, what is
//! there of the org is a part, which nobody may take for the whole or add to.

use crate::engine::Engine;
use crate::error::Error;
use crate::id::OrgId;
use crate::row::{VaultKeys, VaultRow};
use crate::store::{Key, Scan};

impl Engine {
    /// Refuses an org whose restore is unfinished.
    pub(crate) async fn refuse_restoring(&self, org: &OrgId) -> Result<(), Error> {
        match self.get(note_of(org)).await? {
            Some(_) => Err(Error::RestoreUnfinished(*org)),
            None => Ok(()),
        }
    }

    /// The orgs whose restores are unfinished, in the order of their ids.
    pub(crate) async fn restoring(&self) -> Result<Vec<OrgId>, Error> {
        let (mut orgs, mut rest) = (Vec::new(), VaultKeys::org_restores());
        loop {
            let page = self.read(Scan::new(rest.clone(), NOTES_PAGE).keys_only()).await?;
            orgs.extend(page.rows.iter().filter_map(|(key, _)| match VaultRow::parse(key) {
                Some(VaultRow::OrgRestore(org)) => Some(org),
                _ => None,
            }));
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(orgs),
            }
        }
    }
}

/// The key of the note that an org is being restored.
pub(crate) fn note_of(org: &OrgId) -> Key {
    VaultRow::OrgRestore(*org).key()
}

const NOTES_PAGE: usize = 100;
