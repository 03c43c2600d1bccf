//! One org within one environment: how its rows are addressed, read, opened, sealed and written.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod credential;
pub(crate) mod definition;
pub(crate) mod draft;
pub(crate) mod ground;
pub(crate) mod indexed;
pub(crate) mod job;
pub(crate) mod list;
pub(crate) mod new_definitions;
pub(crate) mod options;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod value;

/// Runs a write until it lands: anew after every lost race, and once more where a cached row misled it.
///
/// The attempt answers `Ok(None)` when another writer was faster.
macro_rules! until_landed {
    (|$freshness:ident| $attempt:expr) => {
        'landed: {
            for $freshness in $crate::tenant::Freshness::attempts() {
                match $attempt.await {
                    Ok(Some(landed)) => break 'landed Ok(landed),
                    Ok(None) => {}
                    Err(error) if $freshness == $crate::tenant::Freshness::Cached && error.may_be_stale() => {
                    }
                    Err(error) => break 'landed Err(error),
                }
            }
            Err($crate::error::Error::Contended($crate::engine::ATTEMPTS_MAX))
        }
    };
}

/// Runs a read with what is cached, and once more without where a cached row misled it.
macro_rules! fresh_if_stale {
    (|$freshness:ident| $attempt:expr) => {{
        let $freshness = $crate::tenant::Freshness::Cached;
        match $attempt.await {
            Err(error) if error.may_be_stale() => {
                let $freshness = $crate::tenant::Freshness::Fresh;
                $attempt.await
            }
            answer => answer,
        }
    }};
}

use crate::envelope::SealedRecord;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::envelope::Context;
use crate::envelope::Kind;
use crate::envelope::SealingKey;
use crate::error::Damage;
use crate::error::Error;
use crate::id::DocumentId;
use crate::id::Environment;
use crate::id::LinkedAccountId;
use crate::id::OrgId;
use crate::keys::KeyLookup;
use crate::keys::Keyring;
use crate::keys::root::Roots;
use crate::model::Revision;
use crate::row::body::RowKind;
use crate::row::body::SealedRow;
use crate::row::key::TenantKeys;
use crate::store::Key;
use crate::store::RowRevision;
use crate::store::Versioned;

pub(crate) use account::Loaded;
pub(crate) use check::{at_most, check_definition};
pub(crate) use definition::Definition;
pub(crate) use draft::{Draft, SealedPut, Standing};
pub(crate) use ground::{Freshness, Ground, Needs};
pub(crate) use indexed::{GRANDFATHERED, INDEX_PAGE, IndexedValue};
pub(crate) use list::listed_id;
pub(crate) use new_definitions::MadeDefinitions;
pub use options::WriteOptions;
pub use record::RecordWrite;
pub(crate) use record::key_name;
pub(crate) use snapshot::{Catalog, Rows, Snapshot, find_definition};
pub use value::NewValue;
pub(crate) use {fresh_if_stale, until_landed};

/// An org within an environment. Everything that a verb reads or writes goes through one.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) engine: Arc<Engine>,
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    pub(crate) keys: TenantKeys,
    org_text: String,
}

/// The keyring of a key scope as it is in the store.
pub(crate) struct ScopeKeys {
    pub(crate) keyring: Keyring,
    pub(crate) revision: Revision,
    /// What a write that seals under one of the keys expects of the keyring's row.
    pub(crate) row: RowRevision,
}

impl ScopeKeys {
    pub(crate) fn new(keyring: Keyring, revision: Revision, row: RowRevision) -> Self {
        Self { keyring, revision, row }
    }

    /// The same row, with every key dropped.
    pub(crate) fn dropped(&self) -> Self {
        Self::new(self.keyring.drop_keys(), self.revision, self.row)
    }
}

/// A sealed row, opened.
pub(crate) struct Opened {
    pub(crate) doc_id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
}

impl Tenant {
    pub(crate) fn new(engine: Arc<Engine>, org: OrgId, environment: Environment) -> Self {
        let keys = TenantKeys::new(&org, &environment);
        Self { engine, org, environment, keys, org_text: org.to_string() }
    }

    /// The address of a row of this tenant. Document id and revision come from the row itself.
    pub(crate) fn context<'a>(&'a self, kind: Kind, name: &'a str) -> Context<'a> {
        Context {
            kind,
            store_id: &self.engine.store_id,
            org: &self.org_text,
            environment: self.environment.as_str(),
            linked_account: None,
            workflow: None,
            name,
            key_name: "",
            doc_id: "",
            revision: 0,
        }
    }

    /// The address of the keyring of the org, or of one account.
    pub(crate) fn keyring_context<'a>(&'a self, account: Option<&'a LinkedAccountId>) -> Context<'a> {
        let linked_account = account.map(LinkedAccountId::as_str);
        Context { linked_account, ..self.context(Kind::Keyring, "keyring") }
    }

    /// Opens a row at the address that was asked for. `None` when the key that sealed it was dropped on purpose:
    /// the row is as good as gone.
    pub(crate) fn open(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        context: &Context<'_>,
        row: &[u8],
    ) -> Result<Option<Opened>, Error> {
        let sealed = decode(context, row)?;
        let record =
            SealedRecord::parse(sealed.record).map_err(|error| Error::open(describe(context), error))?;
        let dek_id = record.dek_id();
        match keys.map_or(KeyLookup::Unknown, |keys| keys.keyring.key(&dek_id)) {
            KeyLookup::Listed(key) => open_under(key, context, &sealed, &record).map(Some),
            KeyLookup::Dropped => Ok(None),
            KeyLookup::Unknown => Err(Error::UnknownKey { row: describe(context), dek_id }),
        }
    }

    /// The clear part of a row, without opening it; `None` when the key that sealed it was dropped. What the row is
    /// called is asked for an error alone.
    pub(crate) fn find<'r>(
        keys: Option<&Arc<ScopeKeys>>,
        kind: RowKind,
        row: &'r [u8],
        called: impl Fn() -> String,
    ) -> Result<Option<SealedRow<'r>>, Error> {
        let sealed = SealedRow::decode(kind, row).map_err(|error| Error::row(called(), error))?;
        let record = SealedRecord::parse(sealed.record).map_err(|error| Error::open(called(), error))?;
        let dropped =
            keys.is_some_and(|keys| matches!(keys.keyring.key(&record.dek_id()), KeyLookup::Dropped));
        Ok((!dropped).then_some(sealed))
    }

    /// Opens a row that the root key seals.
    pub(crate) fn open_under_root(&self, context: &Context<'_>, row: &[u8]) -> Result<Opened, Error> {
        open_under_root(&*self.engine.roots.get()?, context, row)
    }

    /// The key that new records of a scope are sealed under.
    pub(crate) fn active_key<'k>(
        keys: &'k ScopeKeys,
        context: &Context<'_>,
    ) -> Result<&'k SealingKey, Error> {
        keys.keyring.active().ok_or_else(|| Error::damaged(describe(context), Damage::Inconsistent))
    }

    /// Reads a row that the root key seals, and lets `open` open it. A root that retires takes its rows along: one that
    /// was read before that, and is opened after it, is read again.
    pub(crate) async fn read_under_root<T>(
        &self,
        key: &Key,
        open: impl Fn(&Versioned) -> Result<T, Error>,
    ) -> Result<Option<(T, RowRevision)>, Error> {
        let mut failed_at = None;
        loop {
            let Some(row) = self.engine.get(key.clone()).await? else { return Ok(None) };
            match open(&row) {
                Err(Error::UnknownKey { .. }) if failed_at != Some(row.revision) => {
                    failed_at = Some(row.revision);
                }
                opened => return opened.map(|opened| Some((opened, row.revision))),
            }
        }
    }

    /// Opens the row of the keyring of the org, or of one account.
    pub(crate) fn open_keyring(
        &self,
        account: Option<&LinkedAccountId>,
        row: &Versioned,
    ) -> Result<ScopeKeys, Error> {
        let context = self.keyring_context(account);
        let opened = self.open_under_root(&context, &row.value)?;
        let keyring =
            Keyring::decode(&opened.plaintext).map_err(|error| Error::row(describe(&context), error))?;
        Ok(ScopeKeys::new(keyring, opened.revision, row.revision))
    }
}

/// Seals `plaintext` at its address into the bytes of a row.
pub(crate) fn seal_row(
    key: &SealingKey,
    context: &Context<'_>,
    doc_id: Option<DocumentId>,
    revision: Revision,
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let doc_text = doc_id.map(DocumentId::to_text);
    let doc_id_text = doc_text.as_ref().map_or("", |text| text.as_str());
    let context = Context { doc_id: doc_id_text, revision: revision.as_u64(), ..*context };
    let record = key.seal(&context, plaintext)?;
    Ok(SealedRow { doc_id, revision, record: &record }.encode(row_kind(context.kind)))
}

/// What a row is called in an error: its kind and the ids of its address; of a host's record, the namespace alone.
pub(crate) fn describe(context: &Context<'_>) -> String {
    let kind = match context.kind {
        Kind::ScopedValue | Kind::Shown => "the scoped value",
        Kind::Credential => "the credential",
        Kind::Slot => "the key slot",
        Kind::Definition => "the variable definition",
        Kind::Keyring => "the keyring",
        Kind::Row => "the row",
    };
    let mut text = kind.to_owned();
    let parts = [
        ("", Some(context.name)),
        ("", context.key_name.split('\0').next()),
        ("of linked account ", context.linked_account),
        ("of workflow ", context.workflow),
        ("in org ", Some(context.org)),
        ("environment ", Some(context.environment)),
    ];
    for (label, part) in parts {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            text.extend([" ", label, part]);
        }
    }
    text
}

/// Opens a row under the root that it names.
pub(crate) fn open_under_root(roots: &Roots, context: &Context<'_>, row: &[u8]) -> Result<Opened, Error> {
    let sealed = decode(context, row)?;
    let record = SealedRecord::parse(sealed.record).map_err(|error| Error::open(describe(context), error))?;
    let dek_id = record.dek_id();
    let root = roots.find(&dek_id).ok_or_else(|| Error::UnknownKey { row: describe(context), dek_id })?;
    open_under(&root.key, context, &sealed, &record)
}

fn decode<'r>(context: &Context<'_>, row: &'r [u8]) -> Result<SealedRow<'r>, Error> {
    SealedRow::decode(row_kind(context.kind), row).map_err(|error| Error::row(describe(context), error))
}

fn open_under(
    key: &SealingKey,
    context: &Context<'_>,
    sealed: &SealedRow<'_>,
    record: &SealedRecord<'_>,
) -> Result<Opened, Error> {
    let doc_text = sealed.doc_id.map(DocumentId::to_text);
    let doc_id = doc_text.as_ref().map_or("", |text| text.as_str());
    let context = Context { doc_id, revision: sealed.revision.as_u64(), ..*context };
    let plaintext =
        key.open_record(&context, record).map_err(|error| Error::open(describe(&context), error))?;
    Ok(Opened { doc_id: sealed.doc_id, revision: sealed.revision, plaintext })
}

pub(crate) fn row_kind(kind: Kind) -> RowKind {
    match kind {
        Kind::ScopedValue | Kind::Shown => RowKind::ScopedValue,
        Kind::Credential => RowKind::Credential,
        Kind::Slot => RowKind::Slot,
        Kind::Definition => RowKind::Definition,
        Kind::Keyring => RowKind::Keyring,
        Kind::Row => RowKind::Sealed,
    }
}

impl Opened {
    /// The document id, which every value, credential and record has.
    pub(crate) fn document_id(&self, context: &Context<'_>) -> Result<DocumentId, Error> {
        self.doc_id.ok_or_else(|| Error::damaged(describe(context), Damage::Inconsistent))
    }
}
