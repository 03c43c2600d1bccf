//! The address that a record is bound to, in the one byte form that has exactly one reading.

/// The id of a store, from its clear header; proven by the slot that opens under it.
pub(crate) type StoreId = [u8; 16];

/// What the caller asked for: a record opens only under the context that it was sealed with.
///
/// The strings are taken as their exact bytes. `K` is [`Kind`] in every store; vectors may give a bare
/// number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a, K = Kind> {
    pub(crate) kind: K,
    pub(crate) store_id: &'a StoreId,
    pub(crate) org: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) linked_account: Option<&'a str>,
    pub(crate) workflow: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) key_name: &'a str,
    pub(crate) doc_id: &'a str,
    pub(crate) revision: u64,
}

/// What a record holds. 3 is reserved for a data key that a provider wraps by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    ScopedValue = 1,
    Credential = 2,
    Slot = 4,
    Definition = 5,
    Keyring = 6,
    Row = 7,
    Shown = 8,
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        kind as u8
    }
}

impl<K: Copy + Into<u8>> Context<'_, K> {
    /// Appends the context's bytes to `out`.
    ///
    /// # Errors
    /// [`ContextTooLong`] for a field of more than `u32::MAX` bytes.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), ContextTooLong> {
        out.extend_from_slice(self.store_id);
        put(out, self.org)?;
        put(out, self.environment)?;
        put_optional(out, self.linked_account)?;
        out.push(self.kind.into());
        put_optional(out, self.workflow)?;
        put(out, self.name)?;
        put(out, self.key_name)?;
        put(out, self.doc_id)?;
        out.extend_from_slice(&self.revision.to_be_bytes());
        Ok(())
    }

    /// How many bytes [`encode_into`](Self::encode_into) appends.
    pub(crate) fn encoded_len(&self) -> usize {
        let optional = |field: Option<&str>| field.map_or(1, |text| 1 + 4 + text.len());
        let plain = [self.org, self.environment, self.name, self.key_name, self.doc_id];
        let texts: usize = plain.iter().map(|text| 4 + text.len()).sum();
        16 + texts + optional(self.linked_account) + 1 + optional(self.workflow) + 8
    }
}

/// A field is too long to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field of the record's address is longer than 4 GiB")]
pub(crate) struct ContextTooLong;

fn put_optional(out: &mut Vec<u8>, field: Option<&str>) -> Result<(), ContextTooLong> {
    let Some(text) = field else {
        out.push(0);
        return Ok(());
    };
    out.push(1);
    put(out, text)
}

fn put(out: &mut Vec<u8>, text: &str) -> Result<(), ContextTooLong> {
    let len = u32::try_from(text.len()).map_err(|_| ContextTooLong)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYRING: Context<'_> = Context {
        kind: Kind::Keyring,
        store_id: &[1; 16],
        org: "acme",
        environment: "test",
        linked_account: Some("user"),
        workflow: None,
        name: "keyring",
        key_name: "",
        doc_id: "",
        revision: 0,
    };

    #[test]
    fn bytes_are_those_of_the_format() {
        let wanted = "010101010101010101010101010101010000000461636d6500000004746573740100000004757365720600000000\
                      076b657972696e6700000000000000000000000000000000";
        assert_eq!(hex::encode(encoded(&KEYRING)), wanted);
    }

    #[test]
    fn absent_is_not_empty() {
        let empty = Context { workflow: Some(""), ..KEYRING };
        assert_ne!(encoded(&empty), encoded(&KEYRING));
    }

    proptest! {
        #[test]
        fn different_fields_have_different_bytes_of_the_foretold_length(
            one in fields(),
            other in fields(),
        ) {
            let (one_bytes, other_bytes) = (encoded(&context(&one)), encoded(&context(&other)));
            prop_assert_eq!(one == other, one_bytes == other_bytes);
            prop_assert_eq!(one_bytes.len(), context(&one).encoded_len());
        }
    }

    type Fields = (u8, [String; 5], [Option<String>; 2], u64);

    prop_compose! {
        // NUL and letters only: what a careless encoding would take for its own marks and lengths.
        fn fields()(
            kind in 0_u8..2,
            texts in prop::array::uniform5("[a\0]{0,2}"),
            optional in prop::array::uniform2(prop::option::of("[a\0]{0,2}")),
            revision in 0_u64..2,
        ) -> Fields {
            (kind, texts, optional, revision)
        }
    }

    fn context(
        (kind, [org, environment, name, key_name, doc_id], optional, revision): &Fields,
    ) -> Context<'_, u8> {
        let [linked_account, workflow] = optional.each_ref().map(Option::as_deref);
        let (kind, store_id, revision) = (*kind, &[0; 16], *revision);
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

    fn encoded<K: Copy + Into<u8>>(context: &Context<'_, K>) -> Vec<u8> {
        let mut bytes = Vec::new();
        context.encode_into(&mut bytes).expect("short fields");
        bytes
    }
}
