//! Sealed records.

use strongroom::hazmat::{Context, Key};

/// Bytes that were not sealed do not open; what was sealed opens to itself; a record that was changed, or is looked for
/// at another address, does not open.
pub fn envelope(data: &[u8]) {
    let Some((&[seed, choice, len, place], data)) = data.split_first_chunk() else { return };
    let key = Key::derive(&[seed; 32]);
    let (address, plaintext) = data.split_at(usize::from(len).min(data.len()));
    let address = String::from_utf8_lossy(address);
    let context = context(&address, choice);

    forgeries_are_refused(&key, &context, plaintext);
    let Ok(record) = key.seal(&context, &[place; 12], plaintext) else {
        assert!(plaintext.len() > 64 * 1024, "a short plaintext can be sealed");
        return;
    };
    let opened = key.open(&context, &record);
    assert!(opened.is_ok_and(|opened| opened.expose() == plaintext), "what was sealed opens to itself");

    let changed = change(&record, choice, usize::from(place));
    assert!(changed == record || key.open(&context, &changed).is_err(), "a changed record opens");
    for moved in elsewhere(context).into_iter().chain([moved(context, choice)]) {
        assert!(moved == context || key.open(&moved, &record).is_err(), "a record opens at another address");
    }
    assert!(
        Key::derive(&[seed ^ 1; 32]).open(&context, &record).is_err(),
        "a record opens under another key"
    );
}

/// The bytes as they are, and behind a header that names the key.
fn forgeries_are_refused(key: &Key, context: &Context<'_>, bytes: &[u8]) {
    assert!(key.open(context, bytes).is_err(), "bytes that were not sealed open");
    let record = [&[1, 1], key.id().as_bytes().as_slice(), bytes].concat();
    assert!(key.open(context, &record).is_err(), "bytes that were not sealed open behind a header");
}

/// An address whose fields are the parts of a text.
fn context(text: &str, kind: u8) -> Context<'_> {
    let mut parts = text.split('\0');
    let org = parts.next().unwrap_or_default();
    Context {
        kind,
        store_id: [kind; 16],
        org,
        environment: parts.next().unwrap_or_default(),
        linked_account: parts.next(),
        workflow: parts.next(),
        name: parts.next().unwrap_or_default(),
        key_name: parts.next().unwrap_or_default(),
        doc_id: parts.next().unwrap_or_default(),
        revision: u64::from(kind),
    }
}

/// A byte changed, the end cut off, a byte more, or a byte less in the middle.
fn change(record: &[u8], choice: u8, place: usize) -> Vec<u8> {
    let (mut changed, place) = (record.to_vec(), place % record.len());
    match choice % 4 {
        0 => changed[place] ^= choice | 1,
        1 => changed.truncate(place),
        2 => changed.insert(place, choice),
        _ => drop(changed.remove(place)),
    }
    changed
}

/// Another address in one field alone, for each field.
fn elsewhere(context: Context<'_>) -> [Context<'_>; 10] {
    let other = "elsewhere";
    [
        Context { kind: context.kind ^ 2, ..context },
        Context { store_id: context.store_id.map(|byte| byte ^ 1), ..context },
        Context { org: other, ..context },
        Context { environment: other, ..context },
        Context { linked_account: Some(other), ..context },
        Context { workflow: Some(other), ..context },
        Context { name: other, ..context },
        Context { key_name: other, ..context },
        Context { doc_id: other, ..context },
        Context { revision: context.revision ^ 1, ..context },
    ]
}

/// What stands in one field stands in its neighbour.
fn moved(context: Context<'_>, choice: u8) -> Context<'_> {
    let Context { org, environment, linked_account, workflow, name, key_name, doc_id, .. } = context;
    match choice / 4 % 8 {
        0 => Context { org: environment, environment: org, ..context },
        1 => Context { linked_account: workflow, workflow: linked_account, ..context },
        2 => Context {
            linked_account: Some(environment),
            environment: linked_account.unwrap_or_default(),
            ..context
        },
        3 => Context { linked_account: linked_account.or(Some("")), ..context },
        4 => Context { name: key_name, key_name: name, ..context },
        5 => Context { key_name: doc_id, doc_id: key_name, ..context },
        6 => Context { revision: context.revision.rotate_left(8), ..context },
        _ => Context { kind: context.kind ^ 1, ..context },
    }
}
