//! CBOR as FORMAT.md writes it: definite lengths, the shortest heads, map keys that are numbers in ascending order.

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cbor<'b> {
    Uint(u64),
    Bytes(&'b [u8]),
    Text(&'b str),
    Array(Vec<Self>),
    Map(Vec<(u64, Self)>),
    Bool(bool),
    Null,
}

impl<'b> Cbor<'b> {
    /// Reads one item, up to the end of `bytes`.
    pub(crate) fn parse(bytes: &'b [u8]) -> Option<Self> {
        let mut rest = bytes;
        Self::take(&mut rest).filter(|_| rest.is_empty())
    }

    fn take(rest: &mut &'b [u8]) -> Option<Self> {
        let (major, argument) = take_head(rest)?;
        Some(match major {
            0 => Self::Uint(argument),
            2 => Self::Bytes(take_bytes(rest, argument)?),
            3 => Self::Text(std::str::from_utf8(take_bytes(rest, argument)?).ok()?),
            4 => Self::Array((0..argument).map(|_| Self::take(rest)).collect::<Option<_>>()?),
            5 => {
                let entry = |_| Some((Self::take(rest)?.uint()?, Self::take(rest)?));
                let entries: Vec<_> = (0..argument).map(entry).collect::<Option<_>>()?;
                Self::Map(entries.is_sorted_by(|one, next| one.0 < next.0).then_some(entries)?)
            }
            7 if argument == 20 || argument == 21 => Self::Bool(argument == 21),
            7 if argument == 22 => Self::Null,
            _ => return None,
        })
    }

    /// The entry of a map.
    pub(crate) fn at(&self, key: u64) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|entry| entry.0 == key).map(|entry| &entry.1)
    }

    pub(crate) fn uint(&self) -> Option<u64> {
        if let Self::Uint(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn bytes(&self) -> Option<&'b [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&'b str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The keys of a map, in their order.
    pub(crate) fn keys(&self) -> Vec<u64> {
        if let Self::Map(entries) = self { entries.iter().map(|entry| entry.0).collect() } else { vec![] }
    }
}

fn take_head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    let (major, short) = (first >> 5, first & 31);
    let (len, least) = match short {
        ..24 => return Some((major, u64::from(short))),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return None,
    };
    let argument = take_bytes(rest, len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (argument >= least).then_some((major, argument))
}

fn take_bytes<'b>(rest: &mut &'b [u8], len: u64) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(taken)
}

#[test]
fn one_form_of_each_item_is_read() {
    assert_eq!(Cbor::parse(&[0x18, 24]), Some(Cbor::Uint(24)));
    assert_eq!(Cbor::parse(&[0x18, 23]), None, "a longer head than necessary");
    assert_eq!(Cbor::parse(&[0x17, 0]), None, "more than one item");
    assert_eq!(Cbor::parse(&[0xa2, 1, 0xf5, 0, 0xf6]), None, "entries out of order");
    let map = Cbor::parse(&[0xa2, 0, 0x81, 0x61, b'a', 1, 0x41, 9]).unwrap();
    assert_eq!(map.at(0).unwrap().array().unwrap(), [Cbor::Text("a")]);
    assert_eq!((map.at(1).unwrap().bytes(), map.keys()), (Some(&[9][..]), vec![0, 1]));
}
