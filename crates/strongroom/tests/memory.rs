//! Keys and plaintext are gone from the heap once they are dropped. Searches this process's own memory, so it
//! is a program of one test; the search finds them all before the drop, which shows that it could fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    linux::keys_and_plaintext_are_wiped_from_the_heap_on_drop();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    use strongroom::hazmat::{Context, Key, Opened, expand};
    use zeroize::Zeroizing;

    pub(crate) fn keys_and_plaintext_are_wiped_from_the_heap_on_drop() {
        let mut memory = Memory::new();
        let dek = Box::new(Zeroizing::new(random_key()));
        let key = Box::new(Key::derive(&dek));
        let opened = open_a_random_value(&key);

        // Every part of the expanded key counts, wherever the ciphers keep it: round keys and both states of
        // the HMAC.
        let expanded =
            memory.needles_in(std::ptr::from_ref(&*key).addr(), size_of::<Key>(), key.id().as_bytes());
        assert!(
            expanded.len() >= 17,
            "fifteen round keys and two states of 32 bytes, not {} parts",
            expanded.len()
        );
        let held = [Needle::new(&dek[..16]), Needle::new(&opened.expose()[..16])];
        let derived = [b"strongroom/v1/seal".as_slice(), b"strongroom/v1/commit"]
            .map(|label| Needle::new(&Zeroizing::new(expand(&dek, label))[..16]));
        let found = memory.find(held.iter().chain(&expanded));
        assert!(found.iter().all(|found| *found), "the search does not find what is there");

        drop((dek, key, opened));

        let found = memory.find(held.iter().chain(&expanded).chain(&derived));
        let left = found.iter().filter(|found| **found).count();
        assert_eq!(left, 0, "of {} secrets this many are still in memory", found.len());
    }

    fn random_key() -> [u8; 32] {
        let mut key = [0; 32];
        File::open("/dev/urandom").unwrap().read_exact_at(&mut key, 0).unwrap();
        key
    }

    fn open_a_random_value(key: &Key) -> Opened {
        let value = Zeroizing::new(random_key());
        let record = key.seal(&Context::default(), &[0; 12], &*value).unwrap();
        key.open(&Context::default(), &record).unwrap()
    }

    /// Sixteen bytes to look for, kept in another form so that they do not find themselves.
    #[derive(PartialEq)]
    struct Needle([u8; 16]);

    impl Needle {
        fn new(bytes: &[u8]) -> Self {
            let bytes: &[u8; 16] = bytes.try_into().unwrap();
            Self(bytes.map(|byte| byte ^ 0xa5))
        }

        fn is(&self, bytes: &[u8]) -> bool {
            self.0.iter().zip(bytes).all(|(masked, byte)| masked ^ 0xa5 == *byte)
        }
    }

    /// This process's memory, and one buffer to read it through.
    struct Memory {
        file: File,
        buffer: Vec<u8>,
    }

    impl Memory {
        fn new() -> Self {
            Self { file: File::open("/proc/self/mem").unwrap(), buffer: vec![0; 1 << 16] }
        }

        /// What is worth looking for in `len` bytes at `address`: neither the public id nor constants.
        fn needles_in(&mut self, address: usize, len: usize, id: &[u8]) -> Vec<Needle> {
            let bytes = &mut self.buffer[..len];
            self.file.read_exact_at(bytes, address as u64).unwrap();
            let random =
                bytes.chunks_exact(16).filter(|chunk| chunk.iter().filter(|byte| **byte == 0).count() < 4);
            let needles = random.map(Needle::new).filter(|needle| !needle.is(id)).collect();
            bytes.fill(0);
            needles
        }

        /// Which of `needles` stand anywhere in memory that can be written, but for the stack.
        fn find<'a>(&mut self, needles: impl Iterator<Item = &'a Needle>) -> Vec<bool> {
            let mut needles: Vec<(&Needle, bool)> = needles.map(|needle| (needle, false)).collect();
            for (mut start, end) in heap() {
                while start < end {
                    let len = self.buffer.len().min(end - start);
                    let read = self.file.read_at(&mut self.buffer[..len], start as u64).unwrap_or(0);
                    for bytes in self.buffer[..read].windows(16) {
                        needles.iter_mut().for_each(|(needle, found)| *found |= needle.is(bytes));
                    }
                    // Chunks overlap, so that nothing hides across an edge.
                    start = if len < self.buffer.len() { end } else { start + len - 15 };
                }
            }
            self.buffer.fill(0);
            needles.into_iter().map(|(_, found)| found).collect()
        }
    }

    fn heap() -> Vec<(usize, usize)> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let writable = maps.lines().filter(|line| line.contains(" rw-p ") && !line.contains("[stack]"));
        let range = |line: &str| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            (usize::from_str_radix(start, 16).unwrap(), usize::from_str_radix(end, 16).unwrap())
        };
        writable.map(range).collect()
    }
}
