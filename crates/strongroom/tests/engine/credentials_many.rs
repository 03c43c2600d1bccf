//! The credentials of an integration, set, replaced and read together; and what a write of one returns.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    AppCredentials, CredentialKey, Error, Expected, IntegrationId, Invalid, Limits, NewCredential, Org,
    Revision, Upsert, Vault, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, unlock, vault, with_clock, with_limits, with_org, with_small_store};
use crate::rig::{Hooked, Point};

#[test]
fn a_write_returns_what_a_read_then_shows() {
    with_clock(async |org, clock| {
        let (app, notes) = (app(&org).await?, org.records(id("notes")));
        for (now, action) in [(1_000, Upsert::Added), (2_000, Upsert::Updated)] {
            clock.set(now);
            let written = app.upsert("k", "1").await?;
            assert_eq!((written.action, &written.info), (action, &app.get("k").await?.unwrap().info));
            let written = notes.put(&id("n"), "1").await?;
            let read = notes.get(&id("n")).await?.unwrap();
            assert_eq!((written.action, written.key, written.revision), (action, read.key, read.revision));
            assert_eq!((written.created_at, written.updated_at), (read.created_at, read.updated_at));
        }
        let written = org.upsert_account(id("a")).with_credential("k", "2").with_credential("l", "1").await?;
        let actions: Vec<_> = written.credentials.iter().map(|written| written.action).collect();
        assert_eq!(actions, [Upsert::Updated, Upsert::Added]);
        assert_eq!(written.credentials[0].info, app.get("k").await?.unwrap().info);
        Ok(())
    });
}

#[test]
fn conditions_chain_without_a_read() {
    with_org(async |org| {
        let app = app(&org).await?;
        let mut known = Expected::Absent;
        for value in ["1", "2", "3"] {
            let written = app.upsert_with("k", value, WriteOptions::expecting(known)).await?;
            known = Expected::Revision(written.info.revision);
        }
        assert_eq!(shown(&app).await?, ["k=3"]);
        Ok(())
    });
}

#[test]
fn credentials_are_set_together_or_not_at_all() {
    with_org(async |org| {
        let app = app(&org).await?;
        let first = app.set_many(&[new("access", "a1"), new("refresh", "r1")]).await?;
        let stale = Expected::Revision(first[0].info.revision);
        let second = app.set_many(&[new("access", "a2"), new("refresh", "r2")]).await?;
        assert_eq!(second[0].info.id, first[0].info.id);
        let torn = app.set_many(&[new("refresh", "r3"), new("access", "a3").expecting(stale)]).await;
        assert!(matches!(torn, Err(Error::Unexpected { found }) if found == Some(second[0].info.revision)));
        assert_eq!(shown(&app).await?, ["access=a2", "refresh=r2"]);
        Ok(())
    });
}

#[test]
fn bad_credentials_are_refused_before_anything_is_written() {
    with_limits(Limits::default().value_bytes_max(4), async |org| {
        let app = app(&org).await?;
        let refused = app.set_many(&[new("a", "1"), new("a", "2")]).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::DuplicateCredentialKey))));
        assert!(matches!(
            app.set_many(&[new("a", "1"), new("", "2")]).await,
            Err(Error::Invalid(Invalid::Id(_)))
        ));
        let refused = app.replace_all(&[new("a", "1"), new("b", "12345")]).await;
        assert!(matches!(refused, Err(Error::TooLong { .. })));
        let elsewhere = org.account(id("a")).app(id("crm"));
        assert!(matches!(elsewhere.set_many(&[new("a", "1")]).await, Err(Error::IntegrationNotFound { .. })));
        assert!(matches!(elsewhere.get_all().await, Err(Error::IntegrationNotFound { .. })));
        assert!(app.get_all().await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn a_condition_on_the_whole_notices_every_change() {
    with_org(async |org| {
        let app = app(&org).await?;
        let write = async |seen: Expected| {
            app.set_many_with(&[new("c", "1")], WriteOptions::expecting(seen)).await.map(drop)
        };
        let foreign = write(Expected::Revision(Revision::from_u64(1))).await;
        assert!(matches!(foreign, Err(Error::Unexpected { found: None })));
        write(app.get_all().await?.expected()).await?;
        let update = async || app.upsert("a", "2").await.map(drop);
        let delete = async || app.delete("a").await.map(drop);
        for change in 0..3 {
            let seen = app.get_all().await?.expected();
            if change == 1 {
                delete().await?;
            } else {
                update().await?;
            }
            let late = write(seen).await;
            assert!(
                matches!(late, Err(Error::Unexpected { found }) if found == app.get_all().await?.revision)
            );
        }
        let seen = app.get_all().await?;
        assert_eq!(seen.expected(), Expected::Revision(seen.revision.unwrap()));
        write(seen.expected()).await
    });
}

#[test]
fn replacing_all_deletes_the_others_in_the_same_batch() {
    with_org(async |org| {
        let app = app(&org).await?;
        app.set_many(&[new("access", "a1"), new("password", "p"), new("user", "u")]).await?;
        let generation =
            async || org.account(id("a")).info().await.map(|info| info.unwrap().credential_generation);
        let before = generation().await?;
        let note =
            WriteOptions::default().with_record(org.records(id("audit")).write(id("1"), "connected again"));
        let replaced = app.replace_all_with(&[new("refresh", "r1"), new("access", "a2")], note).await?;
        let actions: Vec<_> = replaced.written.iter().map(|written| written.action).collect();
        assert_eq!(actions, [Upsert::Added, Upsert::Updated]);
        assert_eq!(
            replaced.removed.iter().map(CredentialKey::as_str).collect::<Vec<_>>(),
            ["password", "user"]
        );
        assert_eq!(shown(&app).await?, ["access=a2", "refresh=r1"]);
        assert!(generation().await? > before && org.records(id("audit")).get(&id("1")).await?.is_some());
        assert_eq!(app.replace_all(&[]).await?.removed.len(), 2);
        assert_eq!(app.get_all().await?.expected(), Expected::Absent);
        Ok(())
    });
}

#[test]
fn another_integration_is_neither_read_nor_replaced() {
    with_org(async |org| {
        let app = app(&org).await?;
        let account = org.account(id("a"));
        account.add_integration(&id("crm")).await?;
        account.app(id("crm")).upsert("k", "crm").await?;
        app.replace_all(&[new("l", "default")]).await?;
        assert_eq!(shown(&account.app(id("crm"))).await?, ["k=crm"]);
        assert_eq!(shown(&app).await?, ["l=default"]);
        Ok(())
    });
}

#[test]
fn credentials_of_more_than_one_page_are_read_whole() {
    with_small_store(async |org| {
        let (app, long) = (app(&org).await?, "x".repeat(64 << 10));
        for index in 0..40 {
            app.upsert(&format!("k{index:02}"), long.as_str()).await?;
        }
        let all = app.get_all().await?;
        assert_eq!(all.items.len(), 40);
        assert!(all.get("k39").is_some() && all.get("k40").is_none());
        Ok(())
    });
}

#[test]
fn a_change_between_two_pages_never_shows_by_half() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        // More credentials than an account may have by default: a page holds 1,000.
        let options = VaultOptions::default().quotas(Quotas::unlimited());
        let org = org_of(&vault(Arc::clone(&store), options).await?);
        let many: Vec<_> = (0..1_001).map(|index| new(&format!("k{index:04}"), "1")).collect();
        app(&org).await?.set_many(&many).await?;
        let hooked = Hooked::new(store);
        let reader = org_of(&Vault::open(hooked.clone(), unlock()).await?).account(id("a"));
        let both = [new("k0000", "2"), new("k1000", "2")];
        hooked.once_after(Point::BeforeRead, 1, move || {
            block_on(async { app(&org).await.unwrap().set_many(&both).await }).unwrap();
        });
        let all = reader.app(IntegrationId::default_app()).get_all().await?;
        assert_eq!(hooked.hooks_left(), 0);
        let value = |name| all.get(name).unwrap().value.expose();
        assert_eq!((value("k0000"), value("k1000")), ("2", "2"));
        Ok(())
    });
}

fn new(key_name: &str, value: &str) -> NewCredential {
    NewCredential::new(key_name, value)
}

/// The default app of account `a`.
async fn app(org: &Org) -> Result<AppCredentials, Error> {
    Ok(org.upsert_account(id("a")).with_default_app().await?.account.app(IntegrationId::default_app()))
}

async fn shown(app: &AppCredentials) -> Result<Vec<String>, Error> {
    let shown = |item: strongroom::Credential| format!("{}={}", item.info.key_name, item.value.expose());
    Ok(app.get_all().await?.into_iter().map(shown).collect())
}
