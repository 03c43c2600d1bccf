//! The body of a variable definition.

use minicbor::{Decode, Decoder, Encode};

use crate::clock::Timestamp;
use crate::format::{EnumFormat, LengthBounds, PatternFormat, UrlSchemes, VarFormat};
use crate::id::DefinitionId;
use crate::model::{Entries, Metadata, Revision, StoredDefinition, VariableDefinition};
use crate::row::{RowError, encode_body};
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
    #[n(12)]
    format_changes: u32,
    #[b(13)]
    request_id: Option<&'a str>,
    #[b(14)]
    note: Option<&'a str>,
    #[b(15)]
    labels: Option<Vec<&'a str>>,
    #[n(16)]
    deletion: Option<bool>,
    #[n(17)]
    history_versions: Option<u8>,
    #[n(18)]
    history_age_secs: Option<u64>,
}

/// The first entry that this release does not know, and the first that may be skipped by a reader that does not
/// know it.
const UNKNOWN: u64 = 19;
const MAY_BE_SKIPPED: u64 = 32;

/// A format's name and its parameters.
#[derive(Encode, Decode, Default)]
#[cbor(map)]
struct FormatFields<'a> {
    #[b(0)]
    name: &'a str,
    /// Values of `enum`, schemes of `url_with_scheme`.
    #[b(1)]
    list: Option<Vec<&'a str>>,
    /// The text of `pattern`, whether it uses Unicode rules, and its examples.
    #[b(2)]
    pattern: Option<&'a str>,
    #[n(3)]
    unicode: Option<bool>,
    #[b(4)]
    must_match: Option<Vec<&'a str>>,
    #[b(5)]
    must_not_match: Option<Vec<&'a str>>,
}

/// The plaintext of a definition's record.
pub(crate) fn encode_definition(stored: &StoredDefinition) -> Vec<u8> {
    let definition = &stored.definition;
    let said = stored.metadata.entries();
    let labels = said.map(|said| &said.labels).filter(|labels| !labels.is_empty());
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
        format_changes: stored.format_changes,
        request_id: said.and_then(|said| said.request_id.as_deref()),
        note: said.and_then(|said| said.note.as_deref()),
        labels: labels.map(|labels| labels.iter().map(String::as_str).collect()),
        deletion: stored.metadata.is_deletion().then_some(true),
        history_versions: definition.history_versions,
        history_age_secs: definition.history_age_secs,
    };
    encode_body(&fields)
}

pub(crate) fn decode_definition(
    id: DefinitionId,
    revision: Revision,
    plaintext: &[u8],
) -> Result<StoredDefinition, RowError> {
    refuse_later(plaintext)?;
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
        history_versions: fields.history_versions,
        history_age_secs: fields.history_age_secs,
    };
    let metadata = Metadata::of(Entries {
        author: definition.author.clone(),
        request_id: owned(fields.request_id),
        note: owned(fields.note),
        labels: fields.labels.into_iter().flatten().map(str::to_owned).collect(),
        expires_at: None,
        deletion: fields.deletion.is_some(),
    });
    if fields.deletion == Some(false) {
        return Err(RowError::Malformed);
    }
    Ok(StoredDefinition {
        id,
        revision,
        definition,
        created_by: owned(fields.created_by),
        created_at: Timestamp::from_ms(fields.created_ms),
        updated_at: Timestamp::from_ms(fields.updated_ms),
        format_changes: fields.format_changes,
        metadata,
    })
}

/// Refuses an entry of a later release, unless it may be skipped: an update would lose it.
fn refuse_later(plaintext: &[u8]) -> Result<(), RowError> {
    let mut cbor = Decoder::new(plaintext);
    for _ in 0..cbor.map()?.ok_or(RowError::Malformed)? {
        let key = cbor.u64()?;
        if (UNKNOWN..MAY_BE_SKIPPED).contains(&key) {
            return Err(RowError::UnknownVersion(key as u8));
        }
        cbor.skip()?;
    }
    Ok(())
}

fn format_fields(format: &VarFormat) -> FormatFields<'_> {
    let fields = FormatFields { name: format.name(), ..FormatFields::default() };
    match format {
        VarFormat::Enum(values) => FormatFields { list: Some(values.values().collect()), ..fields },
        VarFormat::UrlWithScheme(schemes) => {
            FormatFields { list: Some(schemes.schemes().collect()), ..fields }
        }
        VarFormat::Pattern(pattern) => FormatFields {
            pattern: Some(pattern.pattern()),
            unicode: Some(pattern.is_unicode()),
            must_match: Some(pattern.must_match().collect()),
            must_not_match: Some(pattern.must_not_match().collect()),
            ..fields
        },
        _ => fields,
    }
}

fn parse_format(fields: &FormatFields<'_>) -> Option<VarFormat> {
    match fields.name {
        "enum" => EnumFormat::new(fields.list.iter().flatten().copied()).ok().map(VarFormat::Enum),
        "url_with_scheme" => {
            UrlSchemes::new(fields.list.iter().flatten().copied()).ok().map(VarFormat::UrlWithScheme)
        }
        "pattern" => {
            let mut draft = PatternFormat::draft(fields.pattern?);
            if fields.unicode? {
                draft = draft.unicode();
            }
            draft = fields.must_match.iter().flatten().fold(draft, |draft, text| draft.must_match(*text));
            draft =
                fields.must_not_match.iter().flatten().fold(draft, |draft, text| draft.must_not_match(*text));
            // It was vetted when it was saved, and the record is authenticated.
            Some(VarFormat::Pattern(draft.assume_vetted()))
        }
        name => name.parse().ok(),
    }
}

/// Bounds are at most 64 KiB.
fn as_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_reads_back_with_every_format() {
        let pattern = PatternFormat::draft("v[0-9]+").must_match("v1").must_not_match("v").vet().unwrap();
        let formats = [
            VarFormat::Integer,
            VarFormat::Enum(EnumFormat::new(["a", "b"]).unwrap()),
            VarFormat::UrlWithScheme(UrlSchemes::new(["https"]).unwrap()),
            VarFormat::Pattern(pattern),
            VarFormat::Custom("iban".parse().unwrap()),
        ];
        for format in formats {
            let bounds = LengthBounds::new(1..=9).unwrap();
            let definition = VariableDefinition::new("NAME", format).required().length(bounds).author("me");
            let definition = definition.history_versions(100).history_age_secs(86_400);
            let stored = stored(definition.description("text").default_value("a"), everything());
            let read = decode_definition(stored.id, stored.revision, &encode_definition(&stored)).unwrap();
            assert_eq!(read, stored);
        }
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let without = stored(VariableDefinition::new("N", VarFormat::Json), Metadata::NONE);
        let body = "0061 4e 01 a1 00 64 6a736f6e 03 f4 06 f4 07 07 0a 01 0b 02 0c 04".replace(' ', "");
        assert_eq!(hex::encode(encode_definition(&without)), format!("a8{body}"));
        let by_me = VariableDefinition::new("N", VarFormat::Json).author("me");
        let with = encode_definition(&stored(by_me, everything()));
        let body = body.replace("0707", "0707 08 62 6d65");
        let said = "0d 62 7231 0e 63 776879 0f 82 61 61 62 6262";
        assert_eq!(hex::encode(with), format!("ac{body}{said}").replace(' ', ""));
    }

    #[test]
    fn an_unknown_entry_below_32_is_a_later_version_and_one_above_is_skipped() {
        let plain = stored(VariableDefinition::new("N", VarFormat::Json), Metadata::NONE);
        let with = |key: u8| {
            let mut plaintext = encode_definition(&plain);
            plaintext[0] += 1;
            plaintext.extend([0x18, key, 0x81, 0x01]);
            decode_definition(plain.id, plain.revision, &plaintext)
        };
        assert!(matches!(with(31), Err(RowError::UnknownVersion(31))));
        assert_eq!(with(32).unwrap(), plain);
    }

    fn stored(definition: VariableDefinition, metadata: Metadata) -> StoredDefinition {
        StoredDefinition {
            id: DefinitionId::from_bytes(&[1; 12]).unwrap(),
            revision: Revision::from_u64(3),
            definition,
            created_by: None,
            created_at: Timestamp::from_ms(1),
            updated_at: Timestamp::from_ms(2),
            format_changes: 4,
            metadata,
        }
    }

    fn everything() -> Metadata {
        Metadata::of(Entries {
            author: Some("me".to_owned()),
            request_id: Some("r1".to_owned()),
            note: Some("why".to_owned()),
            labels: ["bb", "a"].map(str::to_owned).into(),
            expires_at: None,
            deletion: false,
        })
    }
}
