//! Changing the format of a definition that has values.

use futures_executor::block_on;
use strongroom::{
    DefinitionChange, Environment, Error, Expected, FormatChange, Invalid, LengthBounds, NewValue,
    OnMismatch, Org, PageRequest, RawKey, Scope, ScopeKind, ScopePath, Scopes, Unlock, VarFormat,
    VariableDefinition, Vault, WriteOptions,
};
use strongroom_conformance::Faulty;
use strongroom_memory::MemoryStore;

use crate::rig::{base, open, org};

async fn org_with(values: &[(Scope, &str)]) -> Result<Org, Error> {
    let vault = Vault::create(MemoryStore::new(), Unlock::raw_key(RawKey::generate()?)).await?;
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
    for (scope, value) in values {
        org.set_value("PORT", scope, *value).await?;
    }
    Ok(org)
}

fn workflow(name: &str) -> Scope {
    Scope::Workflow(name.parse().expect("a workflow id"))
}

fn to_integer() -> FormatChange {
    FormatChange::to(VarFormat::Integer)
}

#[test]
fn few_values_among_many_are_found_in_few_reads() {
    let store = Faulty::new(base(async |org| {
        org.define(VariableDefinition::new("PORT", VarFormat::String)).await?;
        let scopes: Vec<Scope> = (0..200).map(|number| workflow(&format!("w{number}"))).collect();
        let values: Vec<_> = scopes.iter().map(|scope| NewValue::new("PORT", scope, "80")).collect();
        org.set_values(&values).await.map(drop)
    }));
    let org = org(&open(store.clone()));
    let before = store.reads_len();
    let page = block_on(org.grandfathered_values("PORT", PageRequest::first(1))).unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    assert!(store.reads_len() - before < 10);
}

#[test]
fn a_plan_names_the_values_that_would_fail_and_writes_nothing() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "80"), (workflow("w"), "canary-value")]).await?;
        let plan = org.plan_format_change("PORT", &to_integer(), PageRequest::default()).await?;
        assert_eq!(plan.items.iter().map(|item| &item.scope).collect::<Vec<_>>(), [&workflow("w")]);
        assert!(!format!("{plan:?}").contains("canary"));
        assert_eq!(org.definition("PORT").await?.unwrap().definition.var_format, VarFormat::String);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_plan_of_many_values_is_complete_page_by_page() {
    block_on(async {
        let org = org_with(&[]).await?;
        for n in 0..250 {
            let value = if n % 2 == 0 { "1" } else { "x" };
            org.set_value("PORT", workflow(&format!("w{n}")), value).await?;
        }
        let (mut failing, mut page) = (0, PageRequest::first(60));
        loop {
            let plan = org.plan_format_change("PORT", &to_integer(), page).await?;
            failing += plan.items.len();
            let Some(next) = plan.next else { break };
            page = PageRequest::first(60).after(next);
        }
        assert_eq!(failing, 125);
        org.change_format("PORT", &to_integer(), OnMismatch::Grandfather).await?;
        let marked = org.grandfathered_values("PORT", PageRequest::first(1_000)).await?;
        assert_eq!(marked.items.len(), 125);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_change_that_a_value_does_not_match_is_refused() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "canary-value")]).await?;
        let refused = org.change_format("PORT", &to_integer(), OnMismatch::Refuse).await.unwrap_err();
        assert!(matches!(&refused, Error::ValueMismatch { scope: Scope::Org, .. }));
        assert!(!format!("{refused} {refused:?}").contains("canary"));
        assert_eq!(org.definition("PORT").await?.unwrap().definition.var_format, VarFormat::String);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_value_that_does_not_match_is_found_behind_any_number_that_do() {
    block_on(async {
        let org = org_with(&[]).await?;
        for n in 0..150 {
            org.set_value("PORT", workflow(&format!("w{n:03}")), "80").await?;
        }
        org.set_value("PORT", workflow("z"), "http").await?;
        let refused = org.change_format("PORT", &to_integer(), OnMismatch::Refuse).await.unwrap_err();
        let last = workflow("z");
        assert!(matches!(&refused, Error::ValueMismatch { scope, .. } if *scope == last), "{refused:?}");
        assert_eq!(org.definition("PORT").await?.unwrap().definition.var_format, VarFormat::String);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn new_values_must_match_and_old_ones_are_marked_until_they_are_set_again() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "http"), (workflow("w"), "443")]).await?;
        org.change_format("PORT", &to_integer(), OnMismatch::Grandfather).await?;
        let path = ScopePath::org().workflow("w".parse()?);
        let marks =
            |trace: strongroom::Trace| trace.steps.iter().map(|step| step.grandfathered).collect::<Vec<_>>();
        assert_eq!(marks(org.explain("PORT", &path).await?), [false, true, false]);
        assert_eq!(org.resolve("PORT", &ScopePath::org()).await?.unwrap().value.expose(), "http");
        assert!(matches!(org.set_value("PORT", Scope::Org, "ftp").await, Err(Error::InvalidValue { .. })));
        org.set_value("PORT", Scope::Org, "21").await?;
        assert_eq!(marks(org.explain("PORT", &path).await?), [false, false, false]);
        assert!(org.grandfathered_values("PORT", PageRequest::default()).await?.items.is_empty());
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_change_back_unmarks_what_matches_again() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "http")]).await?;
        org.change_format("PORT", &to_integer(), OnMismatch::Grandfather).await?;
        let wide = FormatChange::to(VarFormat::String).length(LengthBounds::new(1..=8).unwrap());
        let changed = org.change_format("PORT", &wide, OnMismatch::Refuse).await?;
        assert_eq!(changed.format_changes, 2);
        assert!(org.grandfathered_values("PORT", PageRequest::default()).await?.items.is_empty());
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_change_planned_for_another_revision_is_refused() {
    block_on(async {
        let org = org_with(&[]).await?;
        let planned = org.definition("PORT").await?.unwrap().revision;
        org.change_format("PORT", &to_integer(), OnMismatch::Refuse).await?;
        let options = WriteOptions::expecting(Expected::Revision(planned));
        let late = org.change_format_with("PORT", &to_integer(), OnMismatch::Refuse, options).await;
        assert!(matches!(late, Err(Error::Unexpected { .. })));
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_plan_of_narrower_scopes_names_the_values_in_the_way() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "80"), (workflow("w"), "81")]).await?;
        let only_org = Scopes::only(ScopeKind::Org);
        let plan = org.plan_scope_change("PORT", only_org, PageRequest::default()).await?;
        assert_eq!(plan.items, [workflow("w")]);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_version_is_by_who_changed_the_format() {
    block_on(async {
        let org = org_with(&[]).await?;
        org.update_definition("PORT", DefinitionChange::new().author("ada")).await?;
        let changed = org.change_format("PORT", &to_integer(), OnMismatch::Refuse).await?;
        assert_eq!(changed.definition.author, None, "nobody said who");
        let back = FormatChange::to(VarFormat::String).author("bob");
        let changed = org.change_format("PORT", &back, OnMismatch::Refuse).await?;
        assert_eq!(changed.definition.author.as_deref(), Some("bob"));
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_plan_tells_of_a_default_that_would_fail_as_the_change_does() {
    block_on(async {
        let org = org_with(&[(Scope::Org, "http")]).await?;
        org.update_definition("PORT", DefinitionChange::new().default_value("https")).await?;
        let planned = org.plan_format_change("PORT", &to_integer(), PageRequest::default()).await;
        assert!(matches!(planned, Err(Error::Invalid(Invalid::Default { .. }))), "{planned:?}");
        for on_mismatch in [OnMismatch::Refuse, OnMismatch::Grandfather] {
            let changed = org.change_format("PORT", &to_integer(), on_mismatch).await;
            assert!(matches!(changed, Err(Error::Invalid(Invalid::Default { .. }))), "{changed:?}");
        }
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_change_can_bring_a_default_of_the_new_format_or_take_the_old_one_away() {
    block_on(async {
        let org = org_with(&[]).await?;
        org.update_definition("PORT", DefinitionChange::new().default_value("https")).await?;
        let with_default = to_integer().default_value("443");
        org.plan_format_change("PORT", &with_default, PageRequest::default()).await?;
        let changed = org.change_format("PORT", &with_default, OnMismatch::Refuse).await?;
        assert_eq!(changed.definition.default.as_deref(), Some("443"));
        let wrong = FormatChange::to(VarFormat::Boolean).default_value("yes");
        let refused = org.change_format("PORT", &wrong, OnMismatch::Refuse).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Default { .. }))), "{refused:?}");
        let without = FormatChange::to(VarFormat::Boolean).no_default_value();
        assert_eq!(org.change_format("PORT", &without, OnMismatch::Refuse).await?.definition.default, None);
        Ok::<(), Error>(())
    })
    .unwrap();
}
