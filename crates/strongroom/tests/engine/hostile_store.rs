//! A backend that alters, moves, copies, replays and removes rows: readers see the right value, absence or a typed
//! error. What writers do is in `hostile_writes.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use futures_executor::block_on;
use strongroom::{
    DefinitionChange, Error, Expected, RawKey, RowName, Scope, SlotError, Unlock, Vault, WriteOptions,
    WrongStore,
};

use crate::rig::{
    Kind, RowKey, Rows, Seen, Sight, World, account, empty, flip, furnished, is_damage, is_of_tenant,
};
use crate::rig::{load, of_account, open, org, rows, shown, text, unlock};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// Every sealed row of a tenant, with the readers whose answer depends on it: those that see damage when the last
/// byte of its tag is flipped.
fn sealed() -> &'static BTreeMap<Vec<u8>, BTreeSet<String>> {
    static SEALED: OnceLock<BTreeMap<Vec<u8>, BTreeSet<String>>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let sealed = world().rows.keys().filter(|key| is_of_tenant(key) && RowKey::parse(key).is_sealed());
        sealed.map(|key| (key.clone(), readers_of(key))).collect()
    })
}

fn readers_of(key: &[u8]) -> BTreeSet<String> {
    let mut rows = world().rows.clone();
    flip(rows.get_mut(key).unwrap(), usize::MAX, 0);
    let changed =
        world().look_at(&rows, &[key]).into_iter().filter(|(reader, seen)| *seen != world().sight[reader]);
    let readers: BTreeSet<String> = changed
        .map(|(reader, seen)| {
            assert_eq!(seen, Seen::Damage, "{reader}");
            reader
        })
        .collect();
    assert!(!readers.is_empty() || RowKey::parse(key).kind == Kind::Count, "a row that nobody reads");
    readers
}

/// Every reader of these rows answers damage, and nobody anywhere a wrong value.
fn assert_damage(rows: &Rows, keys: &[&Vec<u8>], what: &str) {
    let asked: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let sight = world().look_at(rows, &asked);
    world().assert_never_wrong(&sight, what);
    for reader in keys.iter().filter_map(|key| sealed().get(*key)).flatten() {
        assert_eq!(sight[reader], Seen::Damage, "{what}: {reader}");
    }
}

#[test]
fn any_two_sealed_rows_that_are_swapped_are_damage_to_all_their_readers() {
    let keys: Vec<_> = sealed().keys().collect();
    assert!(keys.len() > 50);
    for (index, one) in keys.iter().enumerate() {
        for other in &keys[index + 1..] {
            let mut rows = world().rows.clone();
            let (first, second) = (rows[*one].clone(), rows[*other].clone());
            rows.insert(one.to_vec(), second);
            rows.insert(other.to_vec(), first);
            assert_damage(&rows, &[one, other], &format!("{} for {}", shown(one), shown(other)));
        }
    }
}

#[test]
fn a_sealed_row_that_is_copied_over_another_is_damage_to_its_readers() {
    let keys: Vec<_> = sealed().keys().collect();
    // Each over the next ones in key order, which are most alike, and over one of every kind.
    for (index, from) in keys.iter().enumerate() {
        let near = keys.iter().skip(index + 1).take(3);
        let mut kinds = BTreeMap::new();
        for key in &keys {
            kinds.entry(RowKey::parse(key).kind).or_insert(key);
        }
        for to in near.chain(kinds.into_values()).filter(|to| *to != from) {
            let mut rows = world().rows.clone();
            rows.insert(to.to_vec(), world().rows[*from].clone());
            assert_damage(&rows, &[to], &format!("{} over {}", shown(from), shown(to)));
        }
    }
}

#[test]
fn a_sealed_row_that_is_cut_short_or_extended_is_damage_to_its_readers() {
    for key in sealed().keys() {
        let row = &world().rows[key];
        let every = if RowKey::parse(key).kind == Kind::Value { 1 } else { 17 };
        for len in (0..row.len()).filter(|len| len % every == 0 || *len < 8 || len + 4 > row.len()) {
            let mut rows = world().rows.clone();
            rows.insert(key.clone(), row[..len].to_vec());
            expect_damage_once(&rows, key, &format!("{} cut to {len}", shown(key)));
        }
        for more in [&[0][..], &[0xff], row] {
            let mut rows = world().rows.clone();
            rows.insert(key.clone(), [row, more].concat());
            expect_damage_once(&rows, key, &format!("{} extended", shown(key)));
        }
    }
}

#[test]
fn any_bit_of_a_sealed_row_that_is_flipped_is_damage_to_its_readers() {
    for key in sealed().keys() {
        let len = world().rows[key].len();
        for byte in (0..len).filter(|byte| *byte < 40 || byte % 13 == 0) {
            let mut rows = world().rows.clone();
            flip(rows.get_mut(key).unwrap(), byte, (byte % 8) as u8);
            expect_damage_once(&rows, key, &format!("{} byte {byte}", shown(key)));
        }
    }
}

/// One reader of the row answers damage: the others are those of the same row, and too many for every byte.
fn expect_damage_once(rows: &Rows, key: &[u8], what: &str) {
    let vault = open(load(rows));
    let parsed = RowKey::parse(key);
    let tenant = world().tenants.iter().find(|tenant| tenant.prefix() == parsed.tenant).unwrap();
    let org = tenant.handle(&vault);
    let page = strongroom::PageRequest::default;
    let id = |at: usize| {
        String::from_utf8(parsed.rest.split(|byte| *byte == 0).nth(at).unwrap().to_vec()).unwrap()
    };
    let answer = match parsed.kind {
        Kind::Keyring if parsed.rest.is_empty() => block_on(org.linked_accounts(page())).map(drop),
        Kind::Keyring => block_on(org.values(&of_account(&id(0)), page())).map(drop),
        // Whoever makes or deletes a definition counts them again, so only a verification reads it.
        Kind::Count => {
            let report = block_on(org.verify()).unwrap();
            assert!(report.findings.iter().any(|found| found.path.row == RowName::Count), "{what}: {report}");
            return;
        }
        Kind::Definition => block_on(org.definitions(&strongroom::DefinitionFilter::all(), page())).map(drop),
        Kind::Value => {
            let scopes = [Scope::Org, of_account("a"), of_account("b"), crate::rig::of_workflow("w")];
            scopes.iter().try_for_each(|scope| block_on(org.values(scope, page())).map(drop))
        }
        Kind::Account => block_on(org.linked_accounts(page())).map(drop),
        Kind::Integration => block_on(org.account(account(&id(0))).integrations(page())).map(drop),
        Kind::Credential => {
            let app = org.account(account(&id(0))).app(id(1).parse().unwrap());
            block_on(app.get(&id(2))).map(drop)
        }
        Kind::Record => block_on(org.records(id(0).parse().unwrap()).get(&id(1).parse().unwrap())).map(drop),
        Kind::FormerValue | Kind::DeletedValue => {
            let (scope, id) = parsed.document().0.split_last_chunk::<12>().unwrap();
            let id: strongroom::DefinitionId = (*id).into();
            let scope = match scope[0] {
                0 => Scope::Org,
                1 => of_account(std::str::from_utf8(&scope[1..scope.len() - 1]).unwrap()),
                _ => crate::rig::of_workflow(std::str::from_utf8(&scope[1..scope.len() - 1]).unwrap()),
            };
            block_on(org.value_history(id, scope, page())).map(drop)
        }
        Kind::FormerCredential | Kind::DeletedCredential => {
            let app = org.account(account(&id(0))).app(id(1).parse().unwrap());
            block_on(app.history(&id(2), page())).map(drop)
        }
        Kind::FormerDefinition | Kind::DeletedDefinition => {
            let id: [u8; 12] = parsed.document().0.try_into().unwrap();
            block_on(org.definition_history(strongroom::DefinitionId::from(id), page())).map(drop)
        }
        kind => panic!("{kind:?} is no sealed row of a tenant"),
    };
    assert!(matches!(&answer, Err(error) if is_damage(error)), "{what}: {answer:?}");
}

#[test]
fn a_row_of_a_later_version_is_named_as_such() {
    for (key, row) in world().rows.iter().filter(|(key, _)| sealed().contains_key(*key)) {
        // The row's own version, and that of the record in it, which follows the last header of a byte string.
        let mut rows = world().rows.clone();
        rows.get_mut(key).unwrap()[1] = 9;
        let sight = world().look_at(&rows, &[key]);
        for reader in &sealed()[key] {
            assert_eq!(sight[reader], Seen::Damage, "{reader}");
        }
        assert_eq!(row[1], 1);
    }
    let mut rows_later = furnished();
    for (_, row) in rows_later.iter_mut().filter(|(key, _)| RowKey::parse(key).kind == Kind::Value) {
        row[1] = 9;
    }
    let vault = open(load(&rows_later));
    let org = org(&vault);
    for answer in [
        block_on(org.value("V", Scope::Org)).map(drop),
        block_on(org.set_value("V", Scope::Org, "v")).map(drop),
        block_on(org.delete_value("V", Scope::Org)).map(drop),
    ] {
        assert!(matches!(answer, Err(Error::UnknownVersion { version: 9, .. })), "{answer:?}");
    }
}

#[test]
fn the_rows_of_the_whole_store_open_as_they_were_written_or_not_at_all() {
    let whole: Vec<_> = world().rows.keys().filter(|key| !is_of_tenant(key)).cloned().collect();
    assert_eq!(whole.len(), 3);
    let refused = |rows: &Rows| {
        let error = block_on(Vault::open(load(rows), unlock())).unwrap_err();
        assert!(is_damage(&error) || matches!(error, Error::WrongKey), "{error:?}");
    };
    let alone: Rows = whole.iter().map(|key| (key.clone(), world().rows[key].clone())).collect();
    for key in &whole {
        let row = &world().rows[key];
        for bit in 0..row.len() * 8 {
            let mut rows = alone.clone();
            flip(rows.get_mut(key).unwrap(), bit / 8, (bit % 8) as u8);
            refused(&rows);
        }
        for len in 0..row.len() {
            let mut rows = alone.clone();
            rows.insert(key.clone(), row[..len].to_vec());
            refused(&rows);
        }
        for other in world().rows.values().filter(|other| *other != row) {
            let mut rows = alone.clone();
            rows.insert(key.clone(), other.clone());
            refused(&rows);
        }
        let mut rows = world().rows.clone();
        rows.remove(key);
        let error = block_on(Vault::open(load(&rows), unlock())).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. } | Error::WrongStore(WrongStore::Foreign)), "{error:?}");
        // Nor does a vault made over what is left take the rest for its own.
        let error = block_on(Vault::create(load(&rows), unlock())).unwrap_err();
        assert!(
            matches!(error, Error::WrongStore(WrongStore::HoldsVault | WrongStore::Foreign)),
            "{error:?}"
        );
    }
}

#[test]
fn rows_of_another_tenant_under_this_ones_prefix_are_damage() {
    let [first, second, ..] = world().tenants.as_slice() else { panic!("there are four") };
    let mut rows_moved = world().rows.clone();
    rows_moved.retain(|key, _| RowKey::parse(key).tenant != second.prefix());
    for (key, row) in &world().rows {
        let parsed = RowKey::parse(key);
        if parsed.tenant == first.prefix() {
            let moved = RowKey { tenant: second.prefix(), ..parsed };
            rows_moved.insert(moved.bytes(), row.clone());
        }
    }
    for (reader, seen) in second.look(&rows_moved) {
        assert!(seen == Seen::Damage || seen == Seen::Values(Vec::new()), "{reader}: {seen:?}");
    }
    let org = second.handle(&open(load(&rows_moved)));
    assert!(is_damage(&block_on(org.define(text("V"))).unwrap_err()));
    assert!(is_damage(&block_on(org.set_value("V", Scope::Org, "v")).unwrap_err()));
}

#[test]
fn rows_of_another_vault_with_the_same_key_are_damage() {
    let other = World::new();
    for key in sealed().keys().filter(|key| RowKey::parse(key).kind != Kind::Value) {
        // The ids of definitions differ from vault to vault, so that a foreign row is one of the same kind.
        let kind = RowKey::parse(key).kind;
        let foreign = other.rows.iter().find(|(other, _)| *other == key || RowKey::parse(other).kind == kind);
        let mut rows = world().rows.clone();
        rows.insert(key.clone(), foreign.unwrap().1.clone());
        assert_damage(&rows, &[key], &format!("a foreign {}", shown(key)));
    }
    // All of the other vault's tenants under this vault's header, slot and `store` row.
    let mut planted: Rows = other.rows.clone();
    planted.retain(|key, _| is_of_tenant(key));
    planted.extend(
        world()
            .rows
            .iter()
            .filter(|(key, _)| !is_of_tenant(key))
            .map(|(key, row)| (key.clone(), row.clone())),
    );
    for (reader, seen) in other.look(&planted) {
        assert!(seen == Seen::Damage || seen == Seen::Values(Vec::new()), "{reader}: {seen:?}");
    }
}

#[test]
fn a_keyring_that_is_missing_makes_its_rows_unreadable_and_no_other() {
    for key in sealed().keys().filter(|key| RowKey::parse(key).kind == Kind::Keyring) {
        let mut rows = world().rows.clone();
        rows.remove(key);
        let sight = world().look_at(&rows, &[key]);
        world().assert_never_wrong(&sight, &shown(key));
        for reader in &sealed()[key] {
            let (seen, right) = (&sight[reader], &world().sight[reader]);
            let nothing = matches!(right, Seen::Values(values) if values.is_empty());
            // A resolver that finds its value before it comes to the account's is right.
            let before = reader.contains("resolve") && seen == right;
            assert!(matches!(seen, Seen::Damage | Seen::Hint(_)) || nothing || before, "{reader}: {seen:?}");
        }
    }
}

#[test]
fn a_row_that_is_missing_is_absence_or_a_typed_error() {
    for key in world().rows.keys().filter(|key| is_of_tenant(key)) {
        let mut rows = world().rows.clone();
        rows.remove(key);
        let sight = world().look_at(&rows, &[key]);
        world().assert_never_wrong(&sight, &format!("without {}", shown(key)));
    }
}

#[test]
fn an_index_row_is_a_hint_and_leads_nobody_astray() {
    let index: Vec<_> = world().rows.keys().filter(|key| RowKey::parse(key).is_index()).collect();
    for one in &index {
        let same_kind = |other: &&&Vec<u8>| RowKey::parse(other).kind == RowKey::parse(one).kind;
        for other in index.iter().filter(same_kind) {
            if world().rows[*one] == world().rows[*other] {
                continue;
            }
            let mut rows = world().rows.clone();
            rows.insert(one.to_vec(), world().rows[*other].clone());
            let sight = world().look_at(&rows, &[one]);
            world().assert_never_wrong(&sight, &format!("{} leads where {} does", shown(one), shown(other)));
        }
        for byte in (0..world().rows[*one].len()).step_by(5) {
            let mut rows = world().rows.clone();
            flip(rows.get_mut(*one).unwrap(), byte, (byte % 8) as u8);
            let sight = world().look_at(&rows, &[one]);
            world().assert_never_wrong(&sight, &format!("{} byte {byte}", shown(one)));
        }
    }
}

#[test]
fn an_older_row_of_the_same_address_is_not_told_from_the_newest() {
    let (store, vault) = empty();
    let tenant = org(&vault);
    block_on(tenant.define(text("V"))).unwrap();
    let first = block_on(tenant.set_value("V", Scope::Org, "old")).unwrap();
    let old = rows(&store);
    let second = block_on(tenant.set_value("V", Scope::Org, "new")).unwrap();
    block_on(tenant.update_definition("V", DefinitionChange::new().name("W").encrypted())).unwrap();
    let new = rows(&store);

    // The value alone: authentic, not fresh. A writer that knows the revision sees it.
    let value = old.keys().find(|key| RowKey::parse(key).kind == Kind::Value).unwrap();
    let mut replayed = new.clone();
    replayed.insert(value.clone(), old[value].clone());
    let vault = open(load(&replayed));
    let seen = block_on(org(&vault).value("W", Scope::Org)).unwrap().unwrap();
    assert_eq!((seen.value.expose(), seen.revision), ("old", first.revision));
    let options = WriteOptions::expecting(Expected::Revision(second.revision));
    let refused = block_on(org(&vault).set_value_with("W", Scope::Org, "newer", options));
    assert!(matches!(refused, Err(Error::Unexpected { found }) if found == Some(first.revision)));

    // The definition without its name: the old name does not lead to it, nor does the new one.
    let definition = old.keys().find(|key| RowKey::parse(key).kind == Kind::Definition).unwrap();
    let mut replayed = new.clone();
    replayed.insert(definition.clone(), old[definition].clone());
    let vault = open(load(&replayed));
    assert!(block_on(org(&vault).definition("V")).unwrap().is_none());
    assert!(block_on(org(&vault).definition("W")).unwrap().is_none());

    // The definition together with its name: as it was then, and no longer marked encrypted.
    for key in new.keys().filter(|key| RowKey::parse(key).kind == Kind::DefinitionName) {
        replayed.remove(key);
    }
    replayed.extend(
        old.iter()
            .filter(|(key, _)| RowKey::parse(key).kind == Kind::DefinitionName)
            .map(|(key, row)| (key.clone(), row.clone())),
    );
    let vault = open(load(&replayed));
    let seen = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert!(!seen.definition.encrypted);
}

#[test]
fn a_wrong_key_is_told_from_damage_and_writes_nothing() {
    let store = load(&world().rows);
    let other = || Unlock::raw_key(RawKey::from_bytes([8; 32]));
    assert!(matches!(block_on(Vault::open(Arc::clone(&store), other())), Err(Error::WrongKey)));
    let passphrase = Unlock::passphrase("correct horse");
    assert!(matches!(
        block_on(Vault::open(Arc::clone(&store), passphrase)),
        Err(Error::Slot(SlotError::NoneOfThisKind(_)))
    ));
    assert_eq!(rows(&store), world().rows);
}

#[test]
fn nobody_sees_a_value_of_rows_that_were_shuffled() {
    // Whole rounds of rows, each moved to the place of the next one of its kind.
    let mut kinds: BTreeMap<Kind, Vec<&Vec<u8>>> = BTreeMap::new();
    for key in world().rows.keys().filter(|key| is_of_tenant(key)) {
        kinds.entry(RowKey::parse(key).kind).or_default().push(key);
    }
    for (kind, keys) in kinds {
        let mut rows = world().rows.clone();
        for (from, to) in keys.iter().zip(keys.iter().cycle().skip(1)) {
            rows.insert(to.to_vec(), world().rows[*from].clone());
        }
        let sight: Sight = world().look(&rows);
        world().assert_never_wrong(&sight, &format!("{kind:?} shuffled"));
    }
}
