//! What must be true of the rows of a store, at any moment and at a quiet one.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::cbor::Cbor;
use super::opened::{KeyScope, Opened, Row, hex, scope_of};
use crate::rig::{Kind, RowKey};

/// When a store is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing is under way: no job, no note, and nothing that only one of them explains.
    Quiet,
    /// Verbs were cut short: what they left is what their jobs explain.
    Midway,
    /// A backup was restored. No backup holds jobs on keys: a rotation of data keys has to be started again.
    Restored,
}

/// What the jobs of a tenant have left to do.
#[derive(Default)]
struct Sweeps {
    definitions: BTreeSet<Vec<u8>>,
    narrowed: BTreeSet<Vec<u8>>,
    accounts: BTreeMap<String, Vec<u8>>,
    integrations: BTreeMap<(String, String), Vec<u8>>,
    org: bool,
}

/// The rules, over what was opened. Each finding is one line.
pub(crate) struct Judge<'o> {
    opened: &'o Opened,
    moment: Moment,
    sweeps: BTreeMap<Vec<u8>, Sweeps>,
    /// Kinds of jobs on keys: 0 for data keys, 1 for the root.
    key_jobs: BTreeSet<u64>,
    findings: Vec<String>,
}

impl<'o> Judge<'o> {
    pub(crate) fn of(opened: &'o Opened, moment: Moment) -> Self {
        let (sweeps, key_jobs) = Default::default();
        Self { opened, moment, sweeps, key_jobs, findings: opened.findings.clone() }
    }

    pub(crate) fn findings(mut self) -> Vec<String> {
        for (key, row) in &self.opened.rows {
            if self.read_job(key, row).is_none() {
                self.find(key, "has another form");
            }
        }
        for (key, row) in &self.opened.rows {
            if self.judge(key, row).is_none() {
                self.find(key, "has another form");
            }
        }
        self.judge_keys();
        self.judge_counts();
        self.judge_repeats();
        self.judge_chains();
        self.findings
    }

    fn find(&mut self, key: &RowKey, what: &str) {
        self.findings.push(format!("{key} {what}"));
    }

    fn must(&mut self, holds: bool, key: &RowKey, what: &str) {
        if !holds {
            self.find(key, what);
        }
    }

    /// Notes what a job explains. `None` if its row has another form.
    fn read_job(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let body = row.body.as_deref().and_then(Cbor::parse);
        if key.kind == Kind::KeyJob {
            self.key_jobs.insert(body?.at(0)?.array()?.first()?.uint()?);
            return Some(());
        }
        if key.kind != Kind::Job {
            return Some(());
        }
        let (tenant, id) = key.rest.split_last_chunk::<12>()?;
        let body = body?;
        let text = |at| Some(body.at(at)?.text()?.to_owned());
        let definition = || Some(body.at(1)?.bytes()?.to_vec());
        let sweeps = self.sweeps.entry(tenant.to_vec()).or_default();
        match body.at(0)?.uint()? {
            1 => drop(sweeps.definitions.insert(definition()?)),
            2 => drop(sweeps.accounts.insert(text(2)?, id.to_vec())),
            3 => drop(sweeps.integrations.insert((text(2)?, text(3)?), id.to_vec())),
            4 => drop(definition()?),
            5 => drop(sweeps.narrowed.insert(definition()?)),
            6 if *id == [0; 12] => sweeps.org = true,
            _ => return None,
        }
        Some(())
    }

    fn sweeps(&self, key: &RowKey) -> &Sweeps {
        self.sweeps.get(&key.tenant).unwrap_or(const { &Sweeps::NONE })
    }

    /// The other row, of the same tenant.
    fn row(&self, like: &RowKey, kind: Kind, rest: &[u8]) -> Option<&'o Row> {
        let key = RowKey { tenant: like.tenant.clone(), kind, rest: rest.to_vec() };
        self.opened.rows.get(&key)
    }

    /// Every rule about one row. `None` if it has another form.
    fn judge(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        self.judge_dropped(key, row);
        // What an org's shred has not swept yet is only what its keys no longer open.
        if self.sweeps(key).org && key.kind != Kind::Keyring {
            return Some(());
        }
        let quiet = self.moment == Moment::Quiet;
        match key.kind {
            Kind::Header => self.must(row.body.as_ref()?.len() == 16, key, "is no store id"),
            Kind::Slot => self.judge_slot(key),
            Kind::StoreRow => return self.judge_store_row(key, row),
            Kind::Job | Kind::KeyJob => self.must(!quiet, key, "is left"),
            Kind::Retired | Kind::Marker | Kind::OrgRestore => self.must(!quiet, key, "is left"),
            Kind::Export => self.must(row.body.as_ref()?.len() == 8, key, "is no time"),
            Kind::Epoch | Kind::Generation => self.must(row.body.as_ref()?.is_empty(), key, "has a body"),
            Kind::Keyring => self.judge_keyring(key),
            Kind::Count => {
                self.must(row.body.as_ref().is_none_or(|body| body.len() == 8), key, "is no count");
            }
            Kind::Definition => return self.judge_definition(key, row),
            Kind::DefinitionName => {
                let id = row.body.as_ref()?;
                let named = self.row(key, Kind::Definition, id).and_then(name_of);
                self.must(named.as_deref() == Some(&*key.rest), key, "leads to no definition of that name");
            }
            Kind::DefinitionValue => {
                let (definition, scope) = key.rest.split_first_chunk::<12>()?;
                let place = [scope, definition].concat();
                let value = self.row(key, Kind::Value, &place).or(self.row(key, Kind::DeletedValue, &place));
                self.must(value.is_some(), key, "leads to no value");
                self.must(matches!(row.body.as_deref()?, [] | [1]), key, "has a mark of another form");
            }
            Kind::Value => return self.judge_value(key, row),
            Kind::ValueId => {
                let value = self.opened.rows.get(&RowKey::parse(row.body.as_ref()?))?;
                let same = value.doc_id.is_some_and(|id| id[..] == *key.rest);
                self.must(same, key, "leads to another value");
            }
            Kind::Account => return self.judge_account(key, row),
            Kind::Integration => return self.judge_integration(key, row),
            Kind::Credential => {
                let [account, integration, _] = ids(&key.rest)?;
                let parent = [account.as_bytes(), &[0], integration.as_bytes(), &[0]].concat();
                let stands = self.row(key, Kind::Integration, &parent).is_some();
                self.must(stands || self.sweeps_of(key, &account, &integration), key, "has no integration");
            }
            Kind::Record => {
                let [_, _] = ids(&key.rest)?;
            }
            // `judge_chains` follows them.
            Kind::Event => self.must(key.rest.len() == 24, key, "has a key of another form"),
            Kind::AuditHead | Kind::AuditFloor => {
                self.must(key.rest.is_empty(), key, "has a key of another form");
            }
            Kind::ChainHead => self.must(key.rest.len() == 8, key, "has a key of another form"),
            Kind::FormerValue | Kind::FormerCredential | Kind::FormerDefinition => {
                return self.judge_former(key, row);
            }
            Kind::DeletedValue | Kind::DeletedCredential | Kind::DeletedDefinition => {
                return self.judge_deletion(key, row);
            }
        }
        Some(())
    }

    /// The current row of the document of which this is a former version or the deletion, and its deletion.
    fn document(&self, key: &RowKey) -> [Option<&'o Row>; 2] {
        let kinds = match key.kind {
            Kind::FormerValue | Kind::DeletedValue => [Kind::Value, Kind::DeletedValue],
            Kind::FormerCredential | Kind::DeletedCredential => [Kind::Credential, Kind::DeletedCredential],
            _ => [Kind::Definition, Kind::DeletedDefinition],
        };
        kinds.map(|kind| self.row(key, kind, key.document().0))
    }

    /// A former version is of a document that is there or was deleted, and comes before that.
    fn judge_former(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let Some(body) = &row.body else { return Some(()) };
        let (body, [current, deleted]) = (Cbor::parse(body)?, self.document(key));
        self.must(body.at(0)?.text().is_some(), key, "holds no text");
        let Some(last) = current.or(deleted) else {
            let swept = self.is_swept_with_parent(key);
            self.must(swept, key, "is of nothing that is there or was deleted");
            return Some(());
        };
        // Revisions begin anywhere and count up.
        let distance = last.revision?.wrapping_sub(row.revision?);
        self.must((1..1 << 32).contains(&distance), key, "is not before what is there");
        self.must(last.doc_id == row.doc_id, key, "is of another document than what is there");
        Some(())
    }

    /// What was deleted is not there, and its deletion says so and nothing else.
    fn judge_deletion(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let Some(body) = &row.body else { return Some(()) };
        let (body, [current, _]) = (Cbor::parse(body)?, self.document(key));
        self.must(current.is_none(), key, "is of what is there");
        if let (Kind::DeletedValue, Some((scope, definition))) = (key.kind, key.rest.split_last_chunk::<12>())
        {
            let index = self.row(key, Kind::DefinitionValue, &[&definition[..], scope].concat());
            self.must(index.is_some(), key, "is not found by the index of its definition");
        }
        let says_so = match key.kind {
            Kind::DeletedDefinition => body.at(16) == Some(&Cbor::Bool(true)),
            _ => body.at(8) == Some(&Cbor::Bool(true)) && body.at(0)?.text()?.is_empty(),
        };
        self.must(says_so, key, "does not say that it is one");
        Some(())
    }

    /// Whether a job sweeps what a row of a history belongs to.
    fn is_swept_with_parent(&self, key: &RowKey) -> bool {
        let (document, sweeps) = (key.document().0, self.sweeps(key));
        match key.kind {
            Kind::FormerValue => {
                document.last_chunk::<12>().is_some_and(|id| sweeps.definitions.contains(&id[..]))
            }
            Kind::FormerCredential => {
                let [account, integration, _] = ids(document).unwrap();
                self.sweeps_of(key, &account, &integration)
            }
            _ => false,
        }
    }

    /// The events of each chain follow one another, each names the one before, and the heads count them.
    fn judge_chains(&mut self) {
        let mut chains: BTreeMap<(&[u8], [u8; 8]), Events<'_>> = BTreeMap::new();
        for (key, row) in self.opened.rows.iter().filter(|(key, _)| key.kind == Kind::Event) {
            let Some(chain) = key.rest.get(8..16).and_then(|id| id.try_into().ok()) else { continue };
            chains.entry((&key.tenant, chain)).or_default().push((key, row));
        }
        let mut begun: BTreeMap<&[u8], u64> = BTreeMap::new();
        let mut cuts = BTreeMap::new();
        for (key, row) in self.opened.rows.iter().filter(|(key, _)| key.kind == Kind::AuditFloor) {
            let Some(floor) = row.body.as_deref().and_then(Cbor::parse) else { continue };
            let dropped = floor.at(1).and_then(Cbor::uint).unwrap_or(0);
            *begun.entry(&key.tenant).or_default() += dropped;
            for cut in floor.at(2).and_then(Cbor::array).unwrap_or_default() {
                let Some([chain, number, hash, _]) = cut.array() else { continue };
                let (chain, hash) = (chain.bytes().unwrap(), hash.bytes().unwrap());
                let (chain, hash): ([u8; 8], [u8; 32]) =
                    (chain.try_into().unwrap(), hash.try_into().unwrap());
                cuts.insert((&*key.tenant, chain), (number.uint().unwrap(), hash));
                chains.entry((&key.tenant, chain)).or_default();
            }
        }
        for ((tenant, chain), events) in &chains {
            let cut = cuts.get(&(*tenant, *chain));
            let (dropped, mut previous) = cut.map_or((0, None), |(number, hash)| (*number, Some(*hash)));
            // Of one that could not be read the hash is not known.
            previous = previous.filter(|hash| *hash != [0; 32]);
            for (number, (key, row)) in (dropped + 1..).zip(events) {
                self.must(key.rest[16..] == number.to_be_bytes(), key, "does not follow the one before");
                let Some(body) = row.body.as_deref() else { continue };
                let parsed = Cbor::parse(body).unwrap_or(Cbor::Null);
                let start = parsed.at(1).and_then(Cbor::array);
                self.must(start.is_some() == (number == 1), key, "begins a chain, or does not");
                let names = parsed.at(0).and_then(Cbor::bytes);
                // The first of a chain names that of another chain.
                let fits = number == 1 || previous.is_none_or(|last: [u8; 32]| names == Some(&last[..]));
                self.must(fits, key, "names another event than the one before");
                previous = Some(Sha256::digest([b"strongroom event\0", &*key.rest, body].concat()).into());
            }
            *begun.entry(tenant).or_default() += 1;
            let head = RowKey { tenant: tenant.to_vec(), kind: Kind::ChainHead, rest: chain.to_vec() };
            let counted =
                self.opened.rows.get(&head).and_then(|row| row.body.as_deref().and_then(Cbor::parse));
            let counted = counted.and_then(|head| head.at(0).and_then(Cbor::uint)).unwrap_or(0);
            let last = dropped + events.len() as u64;
            self.must(last / 32 * 32 == counted, &head, "counts other events");
        }
        for (tenant, count) in begun {
            let head = RowKey { tenant: tenant.to_vec(), kind: Kind::AuditHead, rest: Vec::new() };
            let body = self.opened.rows.get(&head).and_then(|row| row.body.as_deref().and_then(Cbor::parse));
            let chains = body.and_then(|head| head.at(0).and_then(Cbor::uint));
            self.must(chains == Some(count), &head, "counts other chains");
        }
    }

    /// A row whose key was dropped has a job that sweeps it.
    fn judge_dropped(&mut self, key: &RowKey, row: &Row) {
        let sweeps = self.sweeps(key);
        let account = key.scope_account();
        let swept = sweeps.org || account.is_some_and(|id| sweeps.accounts.contains_key(&id));
        self.must(row.body.is_some() || swept, key, "is left of a dropped key, and no job sweeps it");
    }

    fn sweeps_of(&self, key: &RowKey, account: &str, integration: &str) -> bool {
        let sweeps = self.sweeps(key);
        sweeps.accounts.contains_key(account)
            || sweeps.integrations.contains_key(&(account.to_owned(), integration.to_owned()))
    }

    /// The history lists the slots that stand.
    fn judge_slot(&mut self, key: &RowKey) {
        let store = self.opened.rows.get(&RowKey::parse(&[0, 3])).and_then(|row| row.body.as_deref());
        let history = store.and_then(Cbor::parse);
        let held = history.iter().filter_map(|body| body.at(4)?.array()).flatten();
        let mut now = held.filter(|held| held.at(4).is_none());
        let listed = now.any(|held| held.at(0).and_then(Cbor::bytes) == Some(&key.rest));
        self.must(listed, key, "is not in the history");
    }

    fn judge_store_row(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let body = Cbor::parse(row.body.as_ref()?)?;
        let root = self.opened.root_ids();
        self.must(body.at(0)?.bytes()? == root[0], key, "names another root");
        let held = body.at(4)?.array()?;
        for held in held.iter().filter(|held| held.at(4).is_none()) {
            self.must(held.at(2)?.bytes()? == root[0], key, "lists a slot that holds another root");
            let slot = self.row(key, Kind::Slot, held.at(0)?.bytes()?);
            self.must(slot.is_some(), key, "lists a slot that does not stand");
        }
        let former = body.at(5).is_some();
        self.must(!former || self.key_jobs.contains(&1), key, "keeps the former root, and no job drops it");
        Some(())
    }

    fn judge_keyring(&mut self, key: &RowKey) {
        let Some(keyring) = self.opened.keyrings.get(&scope_of(key)) else { return };
        let (deks, org) = (&keyring.deks, self.opened.keyrings.get(&(key.tenant.clone(), None)));
        let active = deks.iter().filter(|dek| dek.is_active).count();
        let last = deks.last().is_none_or(|dek| dek.is_active);
        self.must(last && active <= 1, key, "does not end with its only active key");
        let ascends = deks.is_sorted_by(|one, next| one.generation < next.generation);
        self.must(ascends, key, "lists generations out of order");
        let above = deks.iter().all(|dek| dek.generation >= keyring.min_version);
        self.must(above, key, "keeps a key below its least generation");
        let dropped = deks.iter().any(|dek| keyring.tombstones.contains(&dek.id));
        self.must(!dropped, key, "keeps a key that was dropped");
        self.must(org.is_some(), key, "is of an account whose org has no keyring");
        let shredded = org.is_some_and(|org| org.deks.is_empty());
        let unfinished = self.sweeps(key).org;
        self.must(!shredded || unfinished || deks.is_empty(), key, "keeps keys of a shredded org");
        self.must(!unfinished || shredded, key, "has keys again before its shred is finished");
        let turning = self.key_jobs.contains(&0) || self.moment == Moment::Restored;
        self.must(deks.len() <= 1 || turning, key, "keeps a retired key, and no job destroys it");
    }

    fn judge_definition(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let name = name_of(row)?;
        let by_name = self.row(key, Kind::DefinitionName, &name).and_then(|row| row.body.as_deref());
        self.must(by_name == Some(&*key.rest), key, "is not found by its name");
        Some(())
    }

    fn judge_value(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let (scope, definition) = key.rest.split_last_chunk::<12>()?;
        let index = [definition, scope].concat();
        self.must(self.row(key, Kind::DefinitionValue, &index).is_some(), key, "is in no index");
        let by_id = self.row(key, Kind::ValueId, &row.doc_id?).and_then(|row| row.body.clone());
        self.must(by_id == Some(key.bytes()), key, "is not found by its id");
        let swept = row.body.is_none() || self.sweeps(key).definitions.contains(&definition[..]);
        let Some(of) = self.row(key, Kind::Definition, definition) else {
            self.must(swept, key, "has no definition, and no job sweeps it");
            return Some(());
        };
        let allowed = Cbor::parse(of.body.as_ref()?)?.at(7)?.uint()?;
        let narrowed = self.sweeps(key).narrowed.contains(&definition[..]);
        self.must(allowed >> scope[0] & 1 == 1 || narrowed, key, "is at a scope that is not allowed");
        Some(())
    }

    fn judge_account(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let [account] = ids(&key.rest)?;
        let body = Cbor::parse(row.body.as_ref()?)?;
        if let Some(job) = body.at(4) {
            let known = self.sweeps(key).accounts.get(&account).is_some_and(|id| Some(&**id) == job.bytes());
            self.must(known, key, "is being deleted, and its job is gone");
        }
        Some(())
    }

    fn judge_integration(&mut self, key: &RowKey, row: &Row) -> Option<()> {
        let [account, integration] = ids(&key.rest)?;
        let parts: Vec<_> = integration.split('\u{1}').collect();
        self.must(parts.len() <= 2 && parts.iter().all(|id| !id.is_empty()), key, "names no connection");
        let body = Cbor::parse(row.body.as_ref()?)?;
        let parent = [account.as_bytes(), &[0]].concat();
        self.must(self.row(key, Kind::Account, &parent).is_some(), key, "has no account");
        if let Some(job) = body.at(1) {
            let swept = self.sweeps(key).integrations.get(&(account, integration));
            let known = swept.is_some_and(|id| Some(&**id) == job.bytes());
            self.must(known, key, "is being deleted, and its job is gone");
        }
        if let Some(note) = body.at(3) {
            let at = |entry| note.at(entry).and_then(Cbor::uint);
            let has_id = note.at(0).and_then(Cbor::bytes).is_some_and(|id| id.len() == 12);
            let lasts = at(1).is_some() && at(1) <= at(2) && at(3).is_none_or(|end| end <= 1);
            self.must(has_id && lasts, key, "holds a refresh that is none");
        }
        Some(())
    }

    /// No two key scopes share a key, and none of them is a root.
    fn judge_keys(&mut self) {
        let mut seen: BTreeMap<[u8; 32], KeyScope> = BTreeMap::new();
        for (scope, keyring) in &self.opened.keyrings {
            for dek in &keyring.deks {
                let other = seen.insert(dek.bytes, scope.clone());
                if other.is_some() || self.opened.roots.contains(&dek.bytes) {
                    self.findings.push(format!("{} is the key of more than one", hex(&dek.id)));
                }
            }
        }
    }

    /// The sealed count of each tenant is the number of its definitions.
    fn judge_counts(&mut self) {
        let mut counted: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
        for (key, row) in &self.opened.rows {
            let entry = counted.entry(&key.tenant).or_default();
            match (key.kind, row.body.as_deref().map(<[u8; 8]>::try_from)) {
                (Kind::Definition, _) => entry.0 += 1,
                (Kind::Count, Some(Ok(count))) => entry.1 = u64::from_be_bytes(count),
                _ => {}
            }
        }
        for (tenant, (definitions, count)) in counted {
            let shredding = self.sweeps.get(tenant).is_some_and(|sweeps| sweeps.org);
            if definitions != count && !shredding {
                let tenant = String::from_utf8_lossy(tenant);
                self.findings.push(format!("{tenant} has {definitions} definitions and counts {count}"));
            }
        }
    }

    /// No nonce is used twice under a key, and no document id twice.
    fn judge_repeats(&mut self) {
        let (mut nonces, mut documents) = (BTreeSet::new(), BTreeSet::new());
        for (key, row) in &self.opened.rows {
            let fresh = row.sealed.is_none_or(|sealed| nonces.insert(sealed));
            self.must(fresh, key, "has the nonce of another row under the same key");
            let is_past = key.document().1.is_some();
            let fresh = is_past || row.doc_id.is_none_or(|id| documents.insert(id));
            self.must(fresh, key, "has the document id of another row");
        }
    }
}

/// The events of a chain, in their order.
type Events<'o> = Vec<(&'o RowKey, &'o Row)>;

impl Sweeps {
    const NONE: Self = Self {
        definitions: BTreeSet::new(),
        narrowed: BTreeSet::new(),
        accounts: BTreeMap::new(),
        integrations: BTreeMap::new(),
        org: false,
    };
}

/// The name in the body of a definition.
fn name_of(definition: &Row) -> Option<Vec<u8>> {
    Some(Cbor::parse(definition.body.as_ref()?)?.at(0)?.text()?.as_bytes().to_vec())
}

/// So many ids, each followed by a NUL.
fn ids<const N: usize>(rest: &[u8]) -> Option<[String; N]> {
    let ids = rest.strip_suffix(&[0])?.split(|byte| *byte == 0);
    ids.map(|id| String::from_utf8(id.to_vec()).ok()).collect::<Option<Vec<_>>>()?.try_into().ok()
}
