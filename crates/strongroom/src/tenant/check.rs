//! The rules of a definition, and of a value under it.

use crate::engine::Engine;
use crate::engine::cache::Definition;
use crate::error::{Error, Invalid};
use crate::format::{FormatError, Formats};
use crate::id::DefinitionName;
use crate::limits::{AUTHOR_BYTES_MAX, DEFAULT_BYTES_MAX, DESCRIPTION_BYTES_MAX, HISTORY_VERSIONS_MAX};
use crate::model::{StoredDefinition, VariableDefinition};
use crate::scope::Scope;
use crate::secret::Secret;

/// Refuses a definition that contradicts itself, exceeds a limit, or has a format that this process does not know.
pub(crate) fn check_definition(
    definition: &VariableDefinition,
    formats: &Formats,
) -> Result<DefinitionName, Error> {
    if !formats.know(&definition.var_format) {
        let rule = "the check of this custom format is not registered (VaultOptions::custom_format)";
        return Err(Invalid::definition(&definition.name, rule));
    }
    check_length(definition)?;
    check_stored_definition(definition, formats)
}

/// Refuses bounds on the length that no value of the format can meet. A definition stored before this was checked is
/// kept.
pub(crate) fn check_length(definition: &VariableDefinition) -> Result<(), Error> {
    let Some(bounds) = &definition.length else { return Ok(()) };
    let (min, max) = definition.var_format.counted_bytes_range();
    if bounds.min() <= max && min <= bounds.max() {
        return Ok(());
    }
    let rule = "no value of this format can have such a length: of `bytes`, 1 to 49152 bytes are possible";
    Err(Invalid::definition(&definition.name, rule))
}

/// As above, for a stored definition: the check of its custom format may be registered in another process only.
pub(crate) fn check_stored_definition(
    definition: &VariableDefinition,
    formats: &Formats,
) -> Result<DefinitionName, Error> {
    let name = definition.name.parse()?;
    at_most("a description", DESCRIPTION_BYTES_MAX, definition.description.as_deref())?;
    at_most("an author", AUTHOR_BYTES_MAX, definition.author.as_deref())?;
    at_most("a default", DEFAULT_BYTES_MAX, definition.default.as_deref())?;
    if definition.history_versions > Some(HISTORY_VERSIONS_MAX) {
        return Err(Invalid::definition(&definition.name, "at most 100 former versions are kept"));
    }
    if let Some(default) = &definition.default {
        if definition.encrypted {
            return Err(Invalid::definition(&definition.name, "an encrypted definition has no default"));
        }
        if formats.know(&definition.var_format) {
            let invalid = |rule| Error::Invalid(Invalid::Default { name: definition.name.clone(), rule });
            form(definition, default, formats).map_err(invalid)?;
        }
    }
    Ok(name)
}

/// Refuses a value that is too long or does not have the format. The error does not show the value.
pub(crate) fn check_value(definition: &Definition, value: &Secret, engine: &Engine) -> Result<(), Error> {
    let StoredDefinition { id, definition, .. } = &definition.stored;
    let max = engine.limits.value_bytes();
    if value.len() > max {
        return Err(Error::TooLong { what: "a value", max });
    }
    value_form(definition, value, &engine.formats).map_err(|rule| Error::InvalidValue {
        definition: *id,
        name: definition.name.clone(),
        rule,
    })
}

/// Refuses a scope at which the definition does not allow a value.
pub(crate) fn check_scope(definition: &Definition, scope: &Scope) -> Result<(), Error> {
    let StoredDefinition { id, definition, .. } = &definition.stored;
    let scope = scope.kind();
    if definition.scopes.allows(scope) {
        return Ok(());
    }
    Err(Error::ScopeNotAllowed { definition: *id, name: definition.name.clone(), scope })
}

/// Checks a value against the format and length of a definition.
pub(crate) fn value_form(
    definition: &VariableDefinition,
    value: &Secret,
    formats: &Formats,
) -> Result<(), FormatError> {
    form(definition, value.expose(), formats)
}

fn form(definition: &VariableDefinition, value: &str, formats: &Formats) -> Result<(), FormatError> {
    if let Some(bounds) = &definition.length {
        bounds.check_len(definition.var_format.counted_bytes(value))?;
    }
    formats.validate(&definition.var_format, value)
}

/// Refuses a text of more than `max` bytes.
pub(crate) fn at_most(what: &'static str, max: usize, text: Option<&str>) -> Result<(), Error> {
    if text.is_some_and(|text| text.len() > max) { Err(Error::TooLong { what, max }) } else { Ok(()) }
}
