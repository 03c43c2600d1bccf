//! The sealed record, against golden bytes and for every input.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::Value;
use strongroom::hazmat::{Context, Key, OpenError, TooLong, padded_len};

/// Written once by the implementation in `interop/envelope.py`, which shares no code with the crate.
#[test]
fn golden_records_are_sealed_to_the_same_bytes_and_open() {
    for case in lines(include_str!("../fixtures/v1/records.jsonl")) {
        let (key, context) = (Key::derive(&bytes(&case, "dek")), context(&case["context"]));
        let (plaintext, record) = (hex_of(&case, "plaintext"), hex_of(&case, "record"));
        assert_eq!(
            key.seal(&context, &bytes(&case, "nonce"), &plaintext).unwrap(),
            record,
            "{}",
            case["note"]
        );
        assert_eq!(key.open(&context, &record).unwrap().expose(), plaintext, "{}", case["note"]);
    }
}

#[test]
fn golden_refusals_name_the_same_reason() {
    for case in lines(include_str!("../fixtures/v1/refused.jsonl")) {
        let key = Key::derive(&bytes(&case, "dek"));
        let error = key.open(&context(&case["context"]), &hex_of(&case, "record")).unwrap_err();
        assert_eq!(name(error), case["error"], "{}", case["note"]);
    }
}

#[test]
fn the_longest_record_is_67_662_bytes_and_one_byte_more_is_refused() {
    let key = Key::derive(&[1; 32]);
    let record = key.seal(&Context::default(), &[2; 12], &vec![3; 67_583]).unwrap();
    assert_eq!(record.len(), 67_662);
    assert_eq!(key.open(&Context::default(), &record).unwrap().expose().len(), 67_583);
    assert_eq!(key.seal(&Context::default(), &[2; 12], &vec![3; 67_584]), Err(TooLong));
}

#[test]
fn errors_and_debug_show_neither_key_nor_plaintext() {
    let key = Key::derive(&[7; 32]);
    let record = key.seal(&Context::default(), &[0; 12], b"hunter2").unwrap();
    let opened = key.open(&Context::default(), &record).unwrap();
    let shown = format!("{key:?} {opened:?} {}", key.open(&Context::default(), &[]).unwrap_err());
    let id = key.id();
    assert_eq!(
        shown,
        format!(
            "SealingKey {{ id: DekId({id}), .. }} Opened([REDACTED]) the bytes are not a sealed record: \
             their length fits none"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_plaintext_comes_back(
        dek: [u8; 32],
        nonce: [u8; 12],
        fields in fields(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..1200),
    ) {
        let key = Key::derive(&dek);
        let record = key.seal(&fields.context(), &nonce, &plaintext).unwrap();
        prop_assert_eq!(record.len(), 78 + padded_len(plaintext.len()));
        let opened = key.open(&fields.context(), &record).unwrap();
        prop_assert_eq!(opened.expose(), plaintext);
    }

    #[test]
    fn a_flipped_bit_is_refused(
        dek: [u8; 32],
        fields in fields(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..600),
        place: prop::sample::Index,
    ) {
        let key = Key::derive(&dek);
        let mut record = key.seal(&fields.context(), &[5; 12], &plaintext).unwrap();
        let bit = place.index(record.len() * 8);
        record[bit / 8] ^= 1 << (bit % 8);
        let wanted = match bit / 8 {
            0 => "UnknownVersion",
            1 => "UnknownSuite",
            2..18 => "UnknownKey",
            _ => "Rejected",
        };
        prop_assert_eq!(name(key.open(&fields.context(), &record).unwrap_err()), wanted);
    }

    #[test]
    fn a_cut_or_lengthened_record_is_refused(
        fields in fields(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..600),
        len in 0_usize..1000,
    ) {
        let key = Key::derive(&[1; 32]);
        let mut record = key.seal(&fields.context(), &[5; 12], &plaintext).unwrap();
        prop_assume!(len != record.len());
        record.resize(len, 0);
        let canonical = len >= 110 && padded_len(len - 79) == len - 78;
        let wanted = if canonical { "Rejected" } else { "Malformed" };
        prop_assert_eq!(name(key.open(&fields.context(), &record).unwrap_err()), wanted);
    }

    #[test]
    fn another_context_is_rejected(fields in fields(), others in fields(), plaintext: Vec<u8>) {
        let key = Key::derive(&[1; 32]);
        let context = fields.context();
        let record = key.seal(&context, &[5; 12], &plaintext).unwrap();
        for other in one_field_changed(&context, &others.context()) {
            let wanted = if other == context { Ok(plaintext.clone()) } else { Err(OpenError::Rejected) };
            prop_assert_eq!(key.open(&other, &record).map(|opened| opened.expose().to_vec()), wanted);
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_open(bytes: Vec<u8>) {
        prop_assert!(Key::derive(&[1; 32]).open(&Context::default(), &bytes).is_err());
    }
}

fn one_field_changed<'a>(context: &Context<'a>, other: &Context<'a>) -> [Context<'a>; 10] {
    let context = *context;
    [
        Context { kind: other.kind, ..context },
        Context { store_id: other.store_id, ..context },
        Context { org: other.org, ..context },
        Context { environment: other.environment, ..context },
        Context { linked_account: other.linked_account, ..context },
        Context { workflow: other.workflow, ..context },
        Context { name: other.name, ..context },
        Context { key_name: other.key_name, ..context },
        Context { doc_id: other.doc_id, ..context },
        Context { revision: other.revision, ..context },
    ]
}

/// A context with fields of its own.
#[derive(Debug)]
struct Fields {
    kind: u8,
    store_id: [u8; 16],
    texts: [String; 5],
    optional: [Option<String>; 2],
    revision: u64,
}

impl Fields {
    fn context(&self) -> Context<'_> {
        let [org, environment, name, key_name, doc_id] = &self.texts;
        let [linked_account, workflow] = self.optional.each_ref().map(Option::as_deref);
        let Self { kind, store_id, revision, .. } = *self;
        Context {
            kind,
            store_id,
            org,
            environment,
            linked_account,
            workflow,
            name,
            key_name,
            doc_id,
            revision,
        }
    }
}

prop_compose! {
    // Short texts of few letters, so that neighbours often hold what could be read as one another's.
    fn fields()(
        kind: u8,
        store_id: [u8; 16],
        texts in prop::array::uniform5("[a\0é]{0,3}"),
        optional in prop::array::uniform2(prop::option::of("[a\0é]{0,3}")),
        revision: u64,
    ) -> Fields {
        Fields { kind, store_id, texts, optional, revision }
    }
}

fn name(error: OpenError) -> &'static str {
    match error {
        OpenError::Malformed => "Malformed",
        OpenError::UnknownVersion(_) => "UnknownVersion",
        OpenError::UnknownSuite(_) => "UnknownSuite",
        OpenError::UnknownKey(_) => "UnknownKey",
        OpenError::Rejected => "Rejected",
        _ => "another",
    }
}

fn lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn context(case: &Value) -> Context<'_> {
    Context {
        kind: u8::try_from(case["kind"].as_u64().unwrap()).unwrap(),
        store_id: bytes(case, "store_id"),
        org: case["org"].as_str().unwrap(),
        environment: case["environment"].as_str().unwrap(),
        linked_account: case["linked_account"].as_str(),
        workflow: case["workflow"].as_str(),
        name: case["name"].as_str().unwrap(),
        key_name: case["key_name"].as_str().unwrap(),
        doc_id: case["doc_id"].as_str().unwrap(),
        revision: case["revision"].as_u64().unwrap(),
    }
}

fn bytes<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    hex_of(case, field).try_into().unwrap()
}

fn hex_of(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap()).unwrap()
}
