//! Lists, a page at a time: pages are disjoint, complete and in order, and a cursor stays within its list.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::fmt::Debug;
use std::pin::Pin;

use futures_util::{StreamExt, TryStreamExt};

use crate::common::{account, id, org_of, run, text, vault, with_org, workflow};
use strongroom::{
    AuditFilter, CredentialFilter, Cursor, CursorError, DataKeys, DefinitionChange, DefinitionFilter,
    Environment, Error, FormatChange, IntegrationId, Invalid, Listing, NewCredential, OnMismatch, Org,
    PageRequest, Scope, ScopeKind, Scopes, VarFormat, Vault, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn the_items_of_a_stream_are_the_whole_list_and_a_page_is_read_when_the_one_before_is_taken() {
    with_rows(async |org| {
        let all = org.linked_accounts(PageRequest::first(100)).await?.items;
        assert!(all.len() > 4);
        for limit in [1, 2, 3, all.len(), 100] {
            let items = PageRequest::first(limit).items(|page| org.linked_accounts(page));
            assert_eq!(items.try_collect::<Vec<_>>().await?, all);
        }
        let reads = Cell::new(0);
        let read = |page| {
            reads.set(reads.get() + 1);
            org.linked_accounts(page)
        };
        let mut items = PageRequest::first(2).items(read);
        for (taken, pages) in [(1, 1), (2, 1), (3, 2)] {
            assert_eq!(items.next().await.transpose()?.as_ref(), all.get(taken - 1));
            assert_eq!(reads.get(), pages);
        }
        Ok(())
    });
}

#[test]
fn an_error_is_the_last_item_of_a_stream() {
    with_org(async |org| {
        let nobody = org.account(id("nobody"));
        let mut items = PageRequest::default().items(|page| nobody.credentials(page));
        assert!(matches!(items.next().await, Some(Err(Error::IntegrationNotFound { .. }))));
        assert!(items.next().await.is_none() && items.next().await.is_none());
        Ok(())
    });
}

#[test]
fn the_pages_of_definitions_are_the_whole_list() {
    with_rows(async |org| {
        same_by_pages(async |page| names(org.definitions(&DefinitionFilter::all(), page).await?)).await
    });
}

#[test]
fn the_pages_of_filtered_definitions_are_the_whole_list() {
    with_rows(async |org| {
        for number in 0..7 {
            org.define(text(&format!("W{number}")).scopes(Scopes::only(ScopeKind::Workflow))).await?;
        }
        for filter in
            [DefinitionFilter::all().scope(ScopeKind::Org), DefinitionFilter::all().name_pattern("W")?]
        {
            same_by_pages(async |page| names(org.definitions(&filter, page).await?)).await?;
        }
        Ok(())
    });
}

#[test]
fn the_pages_of_values_are_the_whole_list_at_every_scope() {
    with_rows(async |org| {
        for scope in [Scope::Org, account("a"), workflow("w")] {
            same_by_pages(async |page| Ok(keyed(org.values(&scope, page).await?, |value| value.id))).await?;
        }
        Ok(())
    });
}

#[test]
fn the_pages_of_values_skip_those_of_deleted_definitions() {
    with_rows(async |org| {
        for number in [0, 3, 4, 6] {
            org.delete_definition(&format!("V{number}")).await?;
        }
        same_by_pages(async |page| Ok(keyed(org.values(Scope::Org, page).await?, |value| value.id))).await
    });
}

#[test]
fn the_pages_of_accounts_are_the_whole_list() {
    with_rows(async |org| {
        same_by_pages(async |page| {
            Ok(keyed(org.linked_accounts(page).await?, |account| account.account_id.clone()))
        })
        .await
    });
}

#[test]
fn the_pages_of_integrations_are_the_whole_list() {
    with_rows(async |org| {
        let account = org.account(id("a"));
        same_by_pages(async |page| {
            Ok(keyed(account.integrations(page).await?, |found| found.integration.clone()))
        })
        .await
    });
}

#[test]
fn the_pages_of_credentials_are_the_whole_list() {
    with_rows(async |org| {
        let account = org.account(id("a"));
        same_by_pages(async |page| Ok(keyed(account.credentials(page).await?, |info| info.key_name.clone())))
            .await
    });
}

#[test]
fn the_pages_of_records_are_the_whole_list() {
    with_rows(async |org| {
        let sessions = org.records(id("visitor"));
        same_by_pages(async |page| Ok(keyed(sessions.list(page).await?, |record| record.key.clone()))).await
    });
}

#[test]
fn a_page_has_at_least_one_item_and_at_most_a_thousand() {
    with_rows(async |org| {
        let listed = async |limit| org.definitions(&DefinitionFilter::all(), PageRequest::first(limit)).await;
        assert_eq!(listed(0).await?.items.len(), 1);
        assert_eq!(listed(usize::MAX).await?.items.len(), 7);
        Ok(())
    });
}

#[test]
fn what_is_written_behind_the_cursor_shows_and_what_is_before_it_does_not() {
    with_org(async |org| {
        for account in ["b", "d"] {
            org.create_account(id(account)).await?;
        }
        let first = org.linked_accounts(PageRequest::first(1)).await?;
        for account in ["a", "c"] {
            org.create_account(id(account)).await?;
        }
        let rest = org.linked_accounts(PageRequest::first(9).after(first.next.unwrap())).await?;
        let rest: Vec<_> = rest.items.iter().map(|account| account.account_id.as_str()).collect();
        assert_eq!(rest, ["c", "d"]);
        Ok(())
    });
}

#[test]
fn a_cursor_outlives_the_item_that_it_stands_on() {
    with_org(async |org| {
        for account in ["a", "b", "c"] {
            org.create_account(id(account)).await?;
        }
        let first = org.linked_accounts(PageRequest::first(2)).await?;
        org.delete_account(&id("b")).await?;
        let rest = org.linked_accounts(PageRequest::first(2).after(first.next.unwrap())).await?;
        assert_eq!(rest.items[0].account_id.as_str(), "c");
        Ok(())
    });
}

#[test]
fn every_list_refuses_the_cursor_of_every_other_one_and_takes_its_own() {
    with_many(async |vault, org| {
        let lists = lists(&vault, &org);
        let mut cursors = Vec::new();
        for (name, list) in &lists {
            cursors.push(list(PageRequest::first(1)).await?.unwrap_or_else(|| panic!("{name} has one page")));
        }
        for (cursor, (of, _)) in cursors.iter().zip(&lists) {
            for (name, list) in &lists {
                let cursor: Cursor = cursor.to_string().parse()?;
                let listed = list(PageRequest::first(1).after(cursor)).await;
                match name == of {
                    true => assert!(listed.is_ok(), "{name}: {listed:?}"),
                    false => assert!(is_refused(&listed), "{name} takes one of {of}: {listed:?}"),
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_list_refuses_a_cursor_that_was_damaged_or_made_up() {
    with_many(async |vault, org| {
        for (name, list) in lists(&vault, &org) {
            let whole = list(PageRequest::first(1)).await?.unwrap().to_string();
            let flipped = |at: usize| {
                let digit = if &whole[at..=at] == "0" { "1" } else { "0" };
                format!("{}{digit}{}", &whole[..at], &whole[at + 1..])
            };
            let damaged = (0..whole.len()).map(flipped);
            let cut = (0..whole.len()).step_by(2).map(|len| whole[..len].to_owned());
            let made_up = ["00", "ff", "0000", "62006200", "01363530306131"].map(str::to_owned);
            let long = [format!("{whole}00"), "ff".repeat(1_024)];
            for text in damaged.chain(cut).chain(made_up).chain(long) {
                let listed = list(PageRequest::first(1).after(text.parse()?)).await;
                assert!(is_refused(&listed), "{name} takes {text}: {listed:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_text_that_is_no_cursor_is_refused() {
    for text in ["x", "0", "0g", " 00", "00\n", "00".repeat(1_033).as_str()] {
        assert!(matches!(text.parse::<Cursor>(), Err(CursorError)), "{text:?}");
    }
}

/// Seven rows of every kind that is listed.
fn with_rows(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_org(async |org| {
        fill(&org).await?;
        test(org).await
    });
}

async fn fill(org: &Org) -> Result<(), Error> {
    let account_a = org.create_account(id("a")).with_default_app().await?;
    for number in 0..7 {
        let name = format!("V{number}");
        org.define(text(&name)).await?;
        for scope in [Scope::Org, account("a"), account("aa"), workflow("w")] {
            org.set_value(&name, scope, name.as_str()).await?;
        }
        org.create_account(id(&format!("user/{number}"))).await?;
        account_a.add_integration(&id::<IntegrationId>(&format!("app{number}"))).await?;
        account_a.upsert_credential(&name, "x").await?;
        org.records(id("visitor")).put(&id(&name), "x").await?;
        org.records(id("session2")).put(&id(&name), "x").await?;
    }
    Ok(())
}

/// Asserts that pages of every size, with cursors that travel as text, join to the list in one piece.
async fn same_by_pages<K: PartialEq + Debug>(
    list: impl AsyncFn(PageRequest) -> Result<(Vec<K>, Option<Cursor>), Error>,
) -> Result<(), Error> {
    let (whole, next) = list(PageRequest::first(1_000)).await?;
    assert!(!whole.is_empty() && next.is_none());
    for limit in 1..=whole.len() + 1 {
        let mut joined = Vec::new();
        let mut page = PageRequest::first(limit);
        loop {
            let (mut items, next) = list(page).await?;
            assert!(items.len() <= limit);
            joined.append(&mut items);
            let Some(cursor) = next else { break };
            page = PageRequest::first(limit).after(cursor.to_string().parse()?);
        }
        assert_eq!(joined, whole, "in pages of {limit}");
    }
    Ok(())
}

/// Where the next page of a list starts.
type Listed<'l> = Pin<Box<dyn Future<Output = Result<Option<Cursor>, Error>> + 'l>>;
type List<'l> = Box<dyn Fn(PageRequest) -> Listed<'l> + 'l>;

/// Every list of the engine that has pages.
fn lists<'l>(vault: &'l Vault, org: &'l Org) -> Vec<(&'static str, List<'l>)> {
    macro_rules! list {
        ($name:literal, |$page:ident| $list:expr) => {{
            let list = move |$page: PageRequest| -> Listed<'l> { Box::pin(async move { Ok($list?.next) }) };
            ($name, Box::new(list) as List<'l>)
        }};
    }
    vec![
        list!("orgs", |page| vault.orgs(page).await),
        list!("jobs", |page| vault.jobs(page).await),
        list!("definitions", |page| org.definitions(&DefinitionFilter::all(), page).await),
        list!("deleted definitions", |page| org.deleted_definitions(page).await),
        list!("history of a definition", |page| org.definition_history("V0", page).await),
        list!("history of another definition", |page| org.definition_history("V1", page).await),
        list!("values of the org", |page| org.values(Scope::Org, page).await),
        list!("values of an account", |page| org.values(account("a"), page).await),
        list!("values of another account", |page| org.values(account("aa"), page).await),
        list!("values of a workflow", |page| org.values(workflow("w"), page).await),
        list!("history of a value", |page| org.value_history("V0", Scope::Org, page).await),
        list!("history of a value of an account", |page| org.value_history("V0", account("a"), page).await),
        list!("places of a definition", |page| org.values_of("V0", page).await),
        list!("places of another definition", |page| org.values_of("V1", page).await),
        list!("scopes with values", |page| org.scopes_with_values(page).await),
        list!("format change", |page| org
            .plan_format_change("V0", &FormatChange::to(VarFormat::Uuid), page)
            .await),
        list!("scope change", |page| org
            .plan_scope_change("V0", Scopes::only(ScopeKind::Workflow), page)
            .await),
        list!("grandfathered", |page| org.grandfathered_values("OLD", page).await),
        list!("accounts", |page| org.linked_accounts(page).await),
        list!("integrations", |page| org.account(id("a")).integrations(page).await),
        list!("connections", |page| org.account(id("a")).connections(&id("app0"), page).await),
        list!("credentials", |page| org.account(id("a")).credentials(page).await),
        list!("credentials of another app", |page| org.account(id("a")).app(id("app0")).list(page).await),
        list!("credentials of a connection", |page| {
            org.account(id("a")).app(id("app0")).connection(id("work")).list(page).await
        }),
        list!("history of a credential", |page| {
            org.account(id("a")).app(IntegrationId::default_app()).history("V0", page).await
        }),
        list!("credentials that are missing", |page| {
            org.credentials_where(&CredentialFilter::missing(id("none")), page).await
        }),
        list!("records", |page| org.records(id("visitor")).list(page).await),
        list!("records of another namespace", |page| org.records(id("session2")).list(page).await),
        list!("audit", |page| org.audit(&AuditFilter::all(), page).await),
    ]
}

/// A vault in which every list has more than one page.
fn with_many(test: impl AsyncFnOnce(Vault, Org) -> Result<(), Error>) {
    run(async {
        let options = VaultOptions::default().history_versions(9);
        let vault = vault(MemoryStore::new(), options).await?;
        vault.change_settings(|settings| settings.audit = true).await?;
        let org = org_of(&vault);
        fill(&org).await?;
        for name in ["V0", "V1"] {
            for text in ["one", "two"] {
                org.update_definition(name, DefinitionChange::new().description(text)).await?;
                for scope in [Scope::Org, account("a")] {
                    org.set_value(name, scope, text).await?;
                }
            }
        }
        for name in ["OLD", "GONE1", "GONE2"] {
            org.define(text(name)).await?;
            for scope in [Scope::Org, account("a")] {
                org.set_value(name, scope, "x").await?;
            }
        }
        let integer = FormatChange::to(VarFormat::Integer);
        org.change_format("OLD", &integer, OnMismatch::Grandfather).await?;
        for name in ["GONE1", "GONE2"] {
            org.delete_definition_with(name, WriteOptions::default().keep_history()).await?;
        }
        let account = org.account(id("a"));
        for connection in ["home", "work"] {
            account.add_connection(&id("app0"), &id(connection)).await?;
        }
        for app in [account.app(id("app0")), account.app(id("app0")).connection(id("work"))] {
            app.set_many(&["k1", "k2"].map(|name| NewCredential::new(name, "x"))).await?;
        }
        for value in ["x2", "x3"] {
            account.upsert_credential("V0", value).await?;
        }
        vault.org([9; 12].into(), Environment::test()).define(text("V")).await?;
        for _ in 0..2 {
            vault.rotate_data_keys(&DataKeys::all()).await?.pause().await?;
        }
        test(vault, org).await
    });
}

fn is_refused<T>(listed: &Result<T, Error>) -> bool {
    matches!(listed, Err(Error::Invalid(Invalid::Cursor(_))))
}

fn keyed<T, K>(listing: Listing<T>, key: impl Fn(&T) -> K) -> (Vec<K>, Option<Cursor>) {
    (listing.items.iter().map(key).collect(), listing.next)
}

fn names(listing: Listing<strongroom::StoredDefinition>) -> Result<(Vec<String>, Option<Cursor>), Error> {
    Ok(keyed(listing, |stored| stored.definition.name.clone()))
}
