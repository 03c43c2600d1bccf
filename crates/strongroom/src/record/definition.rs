//! What is inside the record of a variable definition.

use minicbor::{Decode, Encode};

use super::{RowError, infallible};
use crate::clock::Timestamp;
use crate::format::{EnumFormat, LengthBounds, UrlSchemes, VarFormat};
use crate::id::DefinitionId;
use crate::model::{Revision, StoredDefinition, VariableDefinition};
use crate::scope::Scopes;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    format: FormatFields<'a>,
    #[n(2)]
    length: Option<(u32, u32)>,
    #[n(3)]
    encrypted: bool,
    #[b(4)]
    description: Option<&'a str>,
    #[b(5)]
    default: Option<&'a str>,
    #[n(6)]
    required: bool,
    #[n(7)]
    scopes: u8,
    #[b(8)]
    author: Option<&'a str>,
    #[b(9)]
    created_by: Option<&'a str>,
    #[n(10)]
    created_ms: u64,
    #[n(11)]
    updated_ms: u64,
}

/// A format's name and its parameters.
#[derive(Encode, Decode, Default)]
#[cbor(map)]
struct FormatFields<'a> {
    #[b(0)]
    name: &'a str,
    /// Values of `enum`, schemes of `url_with_scheme`.
    #[b(1)]
    list: Option<Vec<&'a str>>,
}

/// The plaintext of a definition's record.
pub(crate) fn encode_definition(stored: &StoredDefinition) -> Vec<u8> {
    let definition = &stored.definition;
    let fields = Fields {
        name: &definition.name,
        format: format_fields(&definition.var_format),
        length: definition.length.map(|bounds| (as_u32(bounds.min()), as_u32(bounds.max()))),
        encrypted: definition.encrypted,
        description: definition.description.as_deref(),
        default: definition.default.as_deref(),
        required: definition.required,
        scopes: definition.scopes.bits(),
        author: definition.author.as_deref(),
        created_by: stored.created_by.as_deref(),
        created_ms: stored.created_at.as_ms(),
        updated_ms: stored.updated_at.as_ms(),
    };
    let mut plaintext = Vec::new();
    infallible(minicbor::encode(&fields, &mut plaintext));
    plaintext
}

pub(crate) fn decode_definition(
    id: DefinitionId,
    revision: Revision,
    plaintext: &[u8],
) -> Result<StoredDefinition, RowError> {
    let fields: Fields<'_> = minicbor::decode(plaintext)?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let length = fields.length.map(|(min, max)| LengthBounds::new(min as usize..=max as usize));
    let definition = VariableDefinition {
        name: fields.name.to_owned(),
        var_format: parse_format(&fields.format).ok_or(RowError::Malformed)?,
        length: length.transpose().map_err(|_| RowError::Malformed)?,
        encrypted: fields.encrypted,
        description: owned(fields.description),
        default: owned(fields.default),
        required: fields.required,
        scopes: Scopes::from_bits(fields.scopes).ok_or(RowError::Malformed)?,
        author: owned(fields.author),
    };
    Ok(StoredDefinition {
        id,
        revision,
        definition,
        created_by: owned(fields.created_by),
        created_at: Timestamp::from_ms(fields.created_ms),
        updated_at: Timestamp::from_ms(fields.updated_ms),
    })
}

fn format_fields(format: &VarFormat) -> FormatFields<'_> {
    let list = match format {
        VarFormat::Enum(values) => Some(values.values().collect()),
        VarFormat::UrlWithScheme(schemes) => Some(schemes.schemes().collect()),
        _ => None,
    };
    FormatFields { name: format.name(), list }
}

fn parse_format(fields: &FormatFields<'_>) -> Option<VarFormat> {
    match (fields.name, &fields.list) {
        ("enum", Some(values)) => EnumFormat::new(values.iter().copied()).ok().map(VarFormat::Enum),
        ("url_with_scheme", Some(schemes)) => {
            UrlSchemes::new(schemes.iter().copied()).ok().map(VarFormat::UrlWithScheme)
        }
        (name, None) => name.parse().ok(),
        _ => None,
    }
}

/// Bounds are at most 64 KiB.
fn as_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
