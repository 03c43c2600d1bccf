//! Two writers that act for an account, the deletion of the account and its registration again, in the orders in which
//! they can come to the store: nothing of the deleted account is left, and nothing of it comes back. One writer
//! and the deletion in every order; all four with one switch away from a task that could continue.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{Account, DefinitionId, DocumentId, Error};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Kind, Play, RowKey, Rows, Stepped, Task, account, drive, empty, explore, explore_all, load, org, rows,
    text, unlock,
};

/// What there is before: an account, its value and its credential.
struct Before {
    rows: Rows,
    definition: DefinitionId,
    account: DocumentId,
}

impl Before {
    fn new(furnish: impl AsyncFnOnce(&Account) -> Result<(), Error>) -> Self {
        let (store, vault) = empty();
        let org = org(&vault);
        let (definition, account) = block_on(async {
            let definition = org.define(text("V")).await?;
            let account = org.create_account(account("a")).with_default_app().await?;
            furnish(&account).await?;
            Ok::<_, Error>((definition, account.info().await?.unwrap().id))
        })
        .unwrap();
        Self { rows: rows(&store), definition, account }
    }

    /// An engine of its own on the store, which has read what it caches.
    fn org(&self, store: &Arc<MemoryStore>) -> strongroom::Org {
        let stepped = Stepped { inner: Arc::clone(store), shared: true };
        let org = org(&drive(strongroom::Vault::open(stepped, unlock())).unwrap());
        drive(org.definition(self.definition)).unwrap();
        org
    }

    /// Writers against a deletion, and a registration if there is to be one.
    fn play<const N: usize>(&self, writers: [Writer; N], creator: Creator) -> Play {
        let store = load(&self.rows);
        let mut tasks: Vec<Task> = Vec::new();
        let deleter = self.org(&store);
        tasks.push(Box::pin(async move { deleter.delete_account(&account("a")).await.unwrap() }));
        let registered = Rc::new(Cell::new(false));
        if creator == Creator::Present {
            let (org, made) = (self.org(&store), Rc::clone(&registered));
            tasks.push(Box::pin(async move {
                match org.create_account(account("a")).await {
                    Ok(_) => made.set(true),
                    Err(Error::AccountExists(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }));
        }
        for writer in writers {
            let bound = self.org(&store).account(account("a")).bound_to(self.account);
            let written = writer(bound, self.definition);
            tasks.push(Box::pin(async move {
                match written.await {
                    Ok(()) | Err(Error::AccountNotFound(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }));
        }
        let id = self.account;
        let check = move |order: &[usize]| check(&store, id, registered.get(), order);
        Play { tasks, after_crash: None, check: Box::new(check) }
    }
}

/// Whether the account is registered again.
#[derive(Clone, Copy, PartialEq)]
enum Creator {
    Present,
    Absent,
}

/// What acts for the account while it is deleted.
type Writer = fn(Account, DefinitionId) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>>>>;

const SETS_VALUE: Writer =
    |account, definition| Box::pin(async move { account.set_value(definition, "of life 1").await.map(drop) });
const UPSERTS_CREDENTIAL: Writer =
    |account, _| Box::pin(async move { account.upsert_credential("k", "of life 1").await.map(drop) });
const UPDATES: Writer = |account, _| {
    Box::pin(async move { account.update().name("of life 1").with_credential("k", "of life 1").await })
};
const DELETES_VALUE: Writer =
    |account, definition| Box::pin(async move { account.delete_value(definition).await.map(drop) });

/// What is left is the account as it was registered again, or nothing.
fn check(store: &Arc<MemoryStore>, before: DocumentId, is_registered: bool, order: &[usize]) {
    let rows = rows(store);
    let mut accounts = 0;
    for key in rows.keys().map(|key| RowKey::parse(key)) {
        accounts += usize::from(key.kind == Kind::Account);
        let is_of_account = matches!(
            key.kind,
            Kind::Integration
                | Kind::Credential
                | Kind::Value
                | Kind::ValueId
                | Kind::DefinitionValue
                | Kind::Job
        );
        assert!(!is_of_account, "{:?} is left: {order:?}", key.kind);
    }
    assert_eq!(accounts, usize::from(is_registered), "{order:?}");
    let org = org(&crate::rig::open(Arc::clone(store)));
    let known = block_on(org.linked_account(&account("a"))).unwrap();
    assert_eq!(known.is_some(), is_registered, "{order:?}");
    assert!(known.is_none_or(|known| known.id != before && known.name.is_none()), "{order:?}");
}

#[test]
fn a_writer_and_a_deletion_in_every_order_leave_nothing() {
    let empty = Before::new(async |_| Ok(()));
    let full = Before::new(async |account| {
        account.upsert_credential("k", "c").await?;
        account.set_value("V", "v").await.map(drop)
    });
    let cases =
        [(&empty, SETS_VALUE), (&empty, UPSERTS_CREDENTIAL), (&full, UPDATES), (&full, DELETES_VALUE)];
    for (before, writer) in cases {
        let played = explore_all(|| before.play([writer], Creator::Absent));
        assert!(played > 5, "only {played} orders");
    }
}

#[test]
fn two_writers_and_a_deletion_interrupted_once_leave_nothing() {
    let before = Before::new(async |_| Ok(()));
    let played = explore(1, || before.play([SETS_VALUE, UPSERTS_CREDENTIAL], Creator::Absent));
    assert!(played > 50, "only {played} orders");
}

#[test]
fn two_writers_a_deletion_and_a_registration_interrupted_once_leave_the_next_account_alone() {
    let before = Before::new(async |_| Ok(()));
    let played = explore(1, || before.play([SETS_VALUE, UPSERTS_CREDENTIAL], Creator::Present));
    assert!(played > 100, "only {played} orders");
}

#[test]
fn a_writer_a_deletion_and_a_registration_interrupted_once_leave_the_next_account_alone() {
    let before = Before::new(async |account| account.upsert_credential("k", "c").await.map(drop));
    let played = explore(1, || before.play([UPDATES], Creator::Present));
    assert!(played > 50, "only {played} orders");
}
