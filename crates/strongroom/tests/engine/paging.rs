//! Lists, a page at a time: pages are disjoint, complete and in order, and a cursor stays within its list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::fmt::Debug;

use futures_util::{StreamExt, TryStreamExt};

use crate::common::{account, id, text, with_org, workflow};
use strongroom::{
    Cursor, CursorError, DefinitionFilter, Error, IntegrationId, Listing, Org, PageRequest, Scope, ScopeKind,
    Scopes,
};

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
fn a_cursor_of_another_list_never_leads_out_of_this_one() {
    with_rows(async |org| {
        org.create_account(id("b")).await?;
        org.account(id("b")).set_value("V0", "b").await?;
        let mut cursors = Vec::new();
        for scope in [Scope::Org, account("a"), workflow("w")] {
            cursors.extend(org.values(&scope, PageRequest::first(1)).await?.next);
        }
        cursors.extend(org.linked_accounts(PageRequest::first(1)).await?.next);
        cursors.extend(org.definitions(&DefinitionFilter::all(), PageRequest::first(1)).await?.next);
        cursors.extend(org.account(id("a")).credentials(PageRequest::first(1)).await?.next);
        cursors.extend(org.records(id("visitor")).list(PageRequest::first(1)).await?.next);
        assert_eq!(cursors.len(), 7);
        for cursor in cursors {
            stays_within_b(&org, cursor).await?;
        }
        Ok(())
    });
}

#[test]
fn a_made_up_cursor_never_leads_out_of_its_list() {
    with_rows(async |org| {
        org.create_account(id("b")).await?;
        org.account(id("b")).set_value("V0", "b").await?;
        for text in ["", "00", "ff", "0000", "ffffffffffffffffffffffffffff", "62006200", "01363530306131"] {
            stays_within_b(&org, text.parse()?).await?;
        }
        stays_within_b(&org, "ff".repeat(1_024).parse()?).await
    });
}

#[test]
fn a_text_that_is_no_cursor_is_refused() {
    for text in ["x", "0", "0g", " 00", "00\n", "00".repeat(1_025).as_str()] {
        assert!(matches!(text.parse::<Cursor>(), Err(CursorError)), "{text:?}");
    }
}

/// Seven rows of every kind that is listed.
fn with_rows(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_org(async |org| {
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
        test(org).await
    });
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

/// Asserts that the lists of account `b` after a cursor hold nothing of anyone else.
async fn stays_within_b(org: &Org, cursor: Cursor) -> Result<(), Error> {
    let page = || PageRequest::first(1_000).after(cursor.clone());
    let account = org.account(id("b"));
    let values = account.values(page()).await?.items;
    assert!(values.iter().all(|value| value.value.expose() == "b"));
    assert!(account.integrations(page()).await?.items.is_empty());
    let accounts = org.linked_accounts(page()).await?.items;
    assert!(accounts.iter().all(|found| !found.account_id.as_str().is_empty()));
    let records = org.records(id("none")).list(page()).await?.items;
    assert!(records.is_empty());
    Ok(())
}

fn keyed<T, K>(listing: Listing<T>, key: impl Fn(&T) -> K) -> (Vec<K>, Option<Cursor>) {
    (listing.items.iter().map(key).collect(), listing.next)
}

fn names(listing: Listing<strongroom::StoredDefinition>) -> Result<(Vec<String>, Option<Cursor>), Error> {
    Ok(keyed(listing, |stored| stored.definition.name.clone()))
}
