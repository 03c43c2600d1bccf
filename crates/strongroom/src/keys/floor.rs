//! The lowest revision at which the keyrings of a scope count.
//!
//! A shred writes the keyring of its scope at a revision made from the time of the shred, and the `store` row notes it.
//! Every earlier keyring has a lower revision, also one that the store withheld at that time or had replaced by an
//! older one. So none of them brings a key back.

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::model::Revision;
use crate::row::{Row, TenantRow};

/// The revision below which the keyrings of a scope do not count. An org's floor also applies to its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Floor {
    scope: ScopeHash,
    /// The revision of the first keyring that counts.
    pub(crate) revision: u64,
}

/// Identifies a scope in the `store` row, which has no room for its ids.
type ScopeHash = [u8; 16];

impl Floor {
    /// The floor of the scope whose keyring is in `row`.
    pub(crate) fn of(row: &Row<'_>, revision: Revision) -> Self {
        Self { scope: scope_hash(row), revision: revision.as_u64() }
    }

    /// Whether a keyring that was read from `row` at this revision is below the floor.
    pub(crate) fn is_above(&self, row: &Row<'_>, revision: Revision) -> bool {
        revision.as_u64() < self.revision && scopes_of(row).any(|scope| scope == self.scope)
    }

    /// Whether both are floors of one scope, and this one is at least as high.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.scope == other.scope && self.revision >= other.revision
    }

    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let parts = self.scope.into_iter().chain(self.revision.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; LEN]) -> Option<Self> {
        let (scope, revision) = bytes.split_first_chunk::<16>()?;
        Some(Self { scope: *scope, revision: u64::from_be_bytes(*revision.first_chunk()?) })
    }
}

/// The highest floor of the keyring in `row`, among floors in order; 0 if there is none.
pub(crate) fn floor_of(floors: &[Floor], row: &Row<'_>) -> u64 {
    if floors.is_empty() {
        return 0;
    }
    let highest = |scope: ScopeHash| {
        let end = floors.partition_point(|floor| floor.scope <= scope);
        floors.get(..end).and_then(<[Floor]>::last).filter(|floor| floor.scope == scope)
    };
    let found = scopes_of(row).filter_map(highest).map(|floor| floor.revision);
    found.max().unwrap_or(0)
}

/// A revision above that of every keyring written by this time, known or not: other keyrings count up from such a
/// revision, or from 1.
pub(crate) fn revision_at(now: Timestamp) -> u64 {
    now.as_ms().min(u64::MAX >> (REWRITES_BITS + 1)) << REWRITES_BITS
}

/// The first moment after the keys of a scope were last dropped as a whole, by the revision of its keyring; 0 if they
/// never were.
pub(crate) fn first_after_drop(revision: u64) -> Timestamp {
    let dropped_ms = revision >> REWRITES_BITS;
    Timestamp::from_ms(if dropped_ms == 0 { 0 } else { dropped_ms + 1 })
}

/// The scope of a keyring, and that of its org.
fn scopes_of<'r>(row: &'r Row<'_>) -> impl Iterator<Item = ScopeHash> + use<'r> {
    let org = match row {
        Row::Tenant(tenant, TenantRow::Keyring(Some(_))) => Some(scope_hash(&tenant.keyring(None))),
        _ => None,
    };
    std::iter::once(scope_hash(row)).chain(org)
}

fn scope_hash(row: &Row<'_>) -> ScopeHash {
    let hash = Sha256::new().chain_update(LABEL).chain_update(row.key().as_bytes()).finalize();
    let mut scope = ScopeHash::default();
    scope.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    scope
}

pub(crate) const LEN: usize = 24;
const LABEL: &[u8] = b"strongroom/v1/shredded-scope";
/// No keyring is rewritten 2^20 times within a millisecond.
const REWRITES_BITS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Environment;
    use crate::row::TenantId;

    fn at(number: u64) -> Revision {
        Revision::from_u64(number)
    }

    #[test]
    fn a_floor_of_an_org_is_one_of_its_accounts_and_of_nobody_else() {
        let tenant = TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        let other = TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::production());
        let [a, b] = ["a", "b"].map(|id| id.parse().unwrap());
        let mut floors =
            vec![Floor::of(&tenant.keyring(Some(&a)), at(7)), Floor::of(&tenant.keyring(Some(&a)), at(9))];
        floors.sort_unstable();
        let of = |floors: &[Floor], row: &Row<'_>| floor_of(floors, row);
        assert_eq!(of(&floors, &tenant.keyring(Some(&a))), 9);
        assert_eq!(of(&floors, &tenant.keyring(Some(&b))), 0);
        assert_eq!(of(&floors, &tenant.keyring(None)), 0);
        floors.push(Floor::of(&tenant.keyring(None), at(8)));
        floors.sort_unstable();
        assert_eq!([&a, &b].map(|id| of(&floors, &tenant.keyring(Some(id)))), [9, 8]);
        assert_eq!(of(&floors, &tenant.keyring(None)), 8);
        assert_eq!(of(&floors, &other.keyring(Some(&a))), 0);
    }

    #[test]
    fn a_floor_reads_back_and_a_later_time_is_above_every_rewrite_of_an_earlier_one() {
        let tenant = TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        let floor = Floor::of(&tenant.keyring(None), at(0x0102));
        assert_eq!(Floor::from_bytes(&floor.to_bytes()), Some(floor));
        let [early, late] = [1, 2].map(|ms| revision_at(Timestamp::from_ms(ms)));
        assert_eq!(late - early, 1 << 20);
        assert!(revision_at(Timestamp::from_ms(u64::MAX)) < u64::MAX >> 1);
        assert_eq!(first_after_drop(late + 7), Timestamp::from_ms(3));
        assert_eq!(first_after_drop(7), Timestamp::from_ms(0), "they were never dropped");
    }
}
