//! On whose behalf a handle acts.

use strongroom::{
    Actor, DefinitionChange, Error, FormatChange, IdError, Invalid, OnMismatch, VarFormat, VariableDefinition,
};

use crate::common::{id, text, with_org};

#[test]
fn the_actor_is_the_author_of_a_definition_and_of_each_change() {
    with_org(async |org| {
        let id = org.acting_as(actor("user:a")).define(text("URL")).await?;
        let stored = org.definition(id).await?.unwrap();
        let named = [stored.created_by.as_deref(), stored.definition.author.as_deref()];
        assert_eq!(named, [Some("user:a"); 2]);

        let (b, c) = (org.acting_as(actor("user:b")), org.acting_as(actor("user:c")));
        let changed = b.update_definition(id, DefinitionChange::new().required()).await?;
        assert_eq!(changed.definition.author.as_deref(), Some("user:b"));
        let to_url = FormatChange::to(VarFormat::Url);
        let changed = c.change_format(id, &to_url, OnMismatch::Refuse).await?;
        assert_eq!(changed.definition.author.as_deref(), Some("user:c"));
        assert_eq!(changed.created_by.as_deref(), Some("user:a"));
        Ok(())
    });
}

#[test]
fn an_author_that_the_host_names_comes_before_the_actor() {
    with_org(async |org| {
        let alice = org.acting_as(actor("user:alice"));
        let id = alice.define(VariableDefinition::new("PORT", VarFormat::Integer).author("import")).await?;
        assert_eq!(alice.definition(id).await?.unwrap().created_by.as_deref(), Some("import"));
        Ok(())
    });
}

#[test]
fn without_an_actor_nobody_is_the_author() {
    with_org(async |org| {
        org.acting_as(actor("user:alice")).define(text("URL")).await?;
        let changed = org.update_definition("URL", DefinitionChange::new().required()).await?;
        assert_eq!((org.actor(), changed.definition.author), (None, None));
        Ok(())
    });
}

#[test]
fn an_actor_has_a_name_of_1_to_300_bytes_without_control_characters() {
    let longest = "a".repeat(300);
    assert_eq!(actor(&longest).in_request(id("r")).name().as_str(), longest);
    for bad in ["", "a\n", &"a".repeat(301)] {
        let refused: Result<Actor, IdError> = bad.parse();
        assert!(matches!(refused.map_err(Error::from), Err(Error::Invalid(Invalid::Id(_)))));
    }
}

fn actor(name: &str) -> Actor {
    id(name)
}
