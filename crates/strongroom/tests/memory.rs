//! Keys and plaintext are gone from the heap once they are dropped, and those of a vault once it is locked. Searches this
//! process's own memory, so it is a program of its own; the search finds them all before, which shows that it could
//! fail.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    linux::keys_and_plaintext_are_wiped_from_the_heap_on_drop();
    linux::root_and_data_keys_are_wiped_from_the_heap_when_their_vault_is_locked();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    use std::sync::Arc;

    use futures_executor::block_on;
    use strongroom::hazmat::{Context, Key, Opened, expand};
    use strongroom::store::{KeyRange, ReadBatch, Scan, Store as _};
    use strongroom::{Environment, Error, RawKey, ScopePath, Unlock, VarFormat, VariableDefinition, Vault};
    use strongroom_memory::MemoryStore;
    use zeroize::{Zeroize as _, Zeroizing};

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

    pub(crate) fn root_and_data_keys_are_wiped_from_the_heap_when_their_vault_is_locked() {
        let mut memory = Memory::new();
        let store = Arc::new(MemoryStore::new());
        let unlock = || Unlock::raw_key(RawKey::from_bytes(RAW_KEY));
        let vault = block_on(Vault::create(Arc::clone(&store), unlock())).unwrap();
        let org = vault.org(ORG.parse().unwrap(), Environment::test());
        block_on(org.define(VariableDefinition::new("V", VarFormat::String))).unwrap();
        let use_it = || block_on(org.resolve("V", &ScopePath::org()));
        use_it().unwrap();

        let needles = needles_of(&mut memory, &store, &vault);
        // What this test derived has left copies on the stack, which must not travel to the heap from there.
        wipe_stack();
        let found = memory.find(needles.iter());
        // Both keys as they are, and both expanded; but for what each copy of an expanded key has of its own.
        assert!(found[0] && found[1], "the search does not find what an open vault holds");
        assert!(found.iter().filter(|found| **found).count() >= 2 + 2 * 17);
        vault.lock();
        assert!(matches!(use_it(), Err(Error::Locked)));
        let found = memory.find(needles.iter());
        let left = found.iter().filter(|found| **found).count();
        assert!(!found[0] && !found[1], "a key is still in memory");
        // One round key each may lie where a register was spilled: too little to make the others from.
        assert!(left <= 2, "of {} parts of keys {left} are still in memory", found.len());
        block_on(vault.unlock(unlock())).unwrap();
        use_it().unwrap();
    }

    #[inline(never)]
    fn wipe_stack() {
        std::hint::black_box(&mut [0_u8; 256 << 10]).zeroize();
    }

    /// Parts of the root key and of the org's data key, as they are and expanded. What finds them out is wiped.
    #[inline(never)]
    fn needles_of(memory: &mut Memory, store: &Arc<MemoryStore>, vault: &Vault) -> Vec<Needle> {
        let scans = vec![Scan::new(KeyRange::all(), 100)];
        let rows = block_on(store.read(&ReadBatch { gets: vec![], scans })).unwrap().scans.remove(0).rows;
        let row = |prefix: &[u8]| rows.iter().find(|(key, _)| key.as_bytes().starts_with(prefix)).unwrap();
        let mut store_id = [0; 16];
        hex(&vault.store_id(), &mut store_id);

        let (key, slot) = row(&[0, 2]);
        let slot_id = &key.as_bytes()[2..];
        let info = [b"strongroom/v1/slot".as_slice(), &store_id, &16_u32.to_be_bytes(), slot_id].concat();
        let slot_key = Key::derive(&expand(&RAW_KEY, &info));
        let key_name: String = slot_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let context = Context {
            kind: 4,
            store_id,
            name: "slot",
            key_name: &key_name,
            revision: 1,
            ..Context::default()
        };
        // 62 bytes of head, 64 of padded key, and the tag end the row.
        let root = slot_key.open(&context, &slot.value[slot.value.len() - 142..]).unwrap();
        let root: Zeroizing<[u8; 32]> = Zeroizing::new(root.expose().try_into().unwrap());

        let tenant = [&[1], ORG.as_bytes(), b"\0test\0\x01"].concat();
        let keyring = &row(&tenant).1.value;
        // Magic, version and kind, then `{1: 1, 2: bytes}`.
        let record = if keyring[7] == 0x58 { &keyring[9..] } else { &keyring[10..] };
        let context = Context {
            kind: 6,
            store_id,
            org: ORG,
            environment: "test",
            name: "keyring",
            revision: 1,
            ..Context::default()
        };
        let root_key = Box::new(Key::derive(&root));
        let sheet = root_key.open(&context, record).unwrap();
        let at = sheet.expose().windows(3).position(|head| head == [0x01, 0x58, 0x20]).unwrap() + 3;
        let dek: Zeroizing<[u8; 32]> = Zeroizing::new(sheet.expose()[at..at + 32].try_into().unwrap());
        let dek_key = Box::new(Key::derive(&dek));

        let mut needles = vec![Needle::new(&root[..16]), Needle::new(&dek[..16])];
        for key in [&root_key, &dek_key] {
            let address = std::ptr::from_ref(&**key).addr();
            needles.extend(memory.needles_in(address, size_of::<Key>(), key.id().as_bytes()));
        }
        needles
    }

    fn hex(text: &str, bytes: &mut [u8]) {
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
    }

    const RAW_KEY: [u8; 32] = [7; 32];
    const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";

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
