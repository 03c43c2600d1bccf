//! The versions that a resolution was made from.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::id::{DefinitionId, DocumentId};
use crate::model::{Origin, Resolution, Revision};
use crate::scope::Scope;

/// The versions that a run saw, to be resolved again later with [`Org::resolve_pinned`](crate::Org::resolve_pinned),
/// whatever was written meanwhile. It holds names, ids and revisions, but no value, nor anything that depends on one.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{Scope, ScopePath};
/// org.set_value("PORT", Scope::Org, "80").await?;
/// let pin = org.resolve_all(&ScopePath::org()).await?.pin();
/// assert_eq!(org.resolve_all(&ScopePath::org()).await?.pin(), pin); // nothing changed in between
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Pin {
    pub(crate) entries: Vec<Pinned>,
}

/// One value of a pin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Pinned {
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// The name that the definition had.
    pub name: String,
    /// Where the value was.
    pub scope: Origin,
    /// The document id of the value; `None` for the default.
    pub id: Option<DocumentId>,
    /// The revision of the value; that of the definition for the default.
    pub revision: Revision,
}

impl Pin {
    /// Its values, in the order of the resolution.
    #[must_use]
    pub fn values(&self) -> &[Pinned] {
        &self.entries
    }

    /// SHA-256 over the ids, places and revisions, in hex: two pins with the same digest resolve to the same bytes. It
    /// reveals nothing about the values.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"strongroom pin\0");
        for entry in &self.entries {
            let (kind, place) = match &entry.scope {
                Origin::Default => (0, ""),
                Origin::Scope(Scope::Org) => (1, ""),
                Origin::Scope(Scope::LinkedAccount(account)) => (2, account.as_str()),
                Origin::Scope(Scope::Workflow(workflow)) => (3, workflow.as_str()),
            };
            hash.update(entry.definition_id.as_bytes());
            // An id is at most 256 bytes.
            hash.update([&[kind], &(place.len() as u16).to_be_bytes()[..], place.as_bytes()].concat());
            hash.update(entry.id.as_ref().map_or([0; 12], |id| *id.as_bytes()));
            hash.update(entry.revision.as_u64().to_be_bytes());
        }
        hex::encode(hash.finalize())
    }
}

impl Resolution {
    /// The versions that it was made from.
    #[must_use]
    pub fn pin(&self) -> Pin {
        let entries = self.values.iter().map(|resolved| Pinned {
            definition_id: resolved.definition_id,
            name: resolved.name.clone(),
            scope: resolved.scope.clone(),
            id: resolved.found.map(|found| found.id),
            revision: resolved.found.map_or(resolved.definition_revision, |found| found.revision),
        });
        Pin { entries: entries.collect() }
    }
}

/// The digest.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_every_part() {
        let entry = Pinned {
            definition_id: DefinitionId::from([1; 12]),
            name: "V".to_owned(),
            scope: Origin::Scope(Scope::LinkedAccount("a".parse().unwrap())),
            id: Some(DocumentId::from([2; 12])),
            revision: Revision::from_u64(3),
        };
        let variants = [
            entry.clone(),
            Pinned { definition_id: DefinitionId::from([4; 12]), ..entry.clone() },
            Pinned { scope: Origin::Scope(Scope::Workflow("a".parse().unwrap())), ..entry.clone() },
            Pinned { scope: Origin::Scope(Scope::LinkedAccount("aa".parse().unwrap())), ..entry.clone() },
            Pinned { id: None, ..entry.clone() },
            Pinned { revision: Revision::from_u64(4), ..entry.clone() },
        ];
        let digests: std::collections::BTreeSet<_> =
            variants.map(|entry| Pin { entries: vec![entry] }.digest()).into();
        assert_eq!(digests.len(), 6);
        let renamed = Pinned { name: "W".to_owned(), ..entry };
        assert!(digests.contains(&Pin { entries: vec![renamed] }.digest()), "a name is no part of it");
    }
}
