//! Choices that are drawn from the bytes of a fuzzer.

/// What is left of the input. At its end every choice is the first one.
pub(crate) struct Bytes<'d>(&'d [u8]);

impl<'d> Bytes<'d> {
    pub(crate) fn of(data: &'d [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    /// Once in `times`.
    pub(crate) fn seldom(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    pub(crate) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[usize::from(self.byte()) % choices.len()]
    }

    /// A piece of the input as it is, of at most 255 bytes.
    pub(crate) fn piece(&mut self) -> &'d [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(len);
        self.0 = rest;
        piece
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.piece()).into_owned()
    }

    pub(crate) fn rest(self) -> &'d [u8] {
        self.0
    }
}

/// Changes `original` as the input says: bytes and ranges that are replaced, inserted, removed, moved or repeated.
pub(crate) fn edited(original: &[u8], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut edited = original.to_vec();
    while !bytes.is_empty() {
        let (what, at) = (bytes.byte() % 6, bytes.number() % (edited.len() + 1));
        let len = usize::from(bytes.byte()).min(edited.len() - at);
        match what {
            0 => edited.truncate(at),
            1 => drop(edited.drain(at..at + len)),
            2 => drop(edited.splice(at..at, bytes.piece().iter().copied())),
            3 => {
                let repeated = edited[at..at + len].to_vec();
                edited.extend(repeated);
            }
            4 => {
                let to = bytes.number() % (edited.len() - len + 1);
                let moved: Vec<_> = edited.drain(at..at + len).collect();
                drop(edited.splice(to..to, moved));
            }
            _ => {
                let piece = bytes.piece();
                let end = edited.len().min(at + piece.len());
                edited[at..end].copy_from_slice(&piece[..end - at]);
            }
        }
    }
    edited
}
