//! Compiled patterns, bounded in bytes: the host decides how much memory they may take, not the compiler.

use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use strongroom_pattern::{MATCHER_BYTES_MAX, Matcher};

use crate::format::{PatternError, PatternFormat};

/// Compiled patterns by their text, limited to a number of bytes; the least used are dropped first.
///
/// A pattern is compiled when it is first used and again after it was dropped, never in between.
#[derive(Debug)]
pub struct PatternCache {
    compiled: Cache<Key, Arc<Matcher>, Bytes>,
}

impl PatternCache {
    /// An empty cache of at most `bytes_max`. One pattern takes at most 512 KiB, most of them less than 4 KiB; one that
    /// does not fit is compiled on every use.
    ///
    /// ```
    /// use strongroom::format::{PatternCache, PatternFormat, VarFormat};
    ///
    /// let cache = PatternCache::new(8 * 1024 * 1024);
    /// let slug = VarFormat::Pattern(PatternFormat::draft("[a-z0-9-]+").vet()?);
    /// assert!(slug.validate_with("a-slug", &cache).is_ok());
    /// # Ok::<(), strongroom::format::PatternError>(())
    /// ```
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        // Counted in the largest items, because quick_cache divides its bytes among shards by this number: so every
        // shard has room for one item.
        let items = bytes_max / ITEM_BYTES_MAX;
        Self { compiled: Cache::with_weighter(items, bytes_max as u64, Bytes) }
    }

    /// The bytes that the compiled patterns take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.compiled.weight()).unwrap_or(usize::MAX)
    }

    /// The pattern compiled, from the cache if it is there.
    pub(super) fn compiled(&self, pattern: &PatternFormat) -> Result<Arc<Matcher>, PatternError> {
        let key = KeyRef(pattern.pattern(), pattern.is_unicode());
        if let Some(matcher) = self.compiled.get(&key) {
            return Ok(matcher);
        }
        // Two threads that miss at once compile twice: rare, and cheaper than a lock that every reader would take.
        let matcher = Arc::new(pattern.compile()?);
        self.compiled.insert(Key(key.0.into(), key.1), Arc::clone(&matcher));
        Ok(matcher)
    }
}

/// The text of a pattern and whether it asks for Unicode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(Box<str>, bool);

#[derive(Hash)]
struct KeyRef<'a>(&'a str, bool);

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.0, self.1) == (&*key.0, key.1)
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Arc<Matcher>> for Bytes {
    fn weight(&self, key: &Key, matcher: &Arc<Matcher>) -> u64 {
        (size_of::<Key>() + key.0.len() + matcher.bytes()) as u64
    }
}

// The largest matcher with the largest text.
const ITEM_BYTES_MAX: usize = 512 * 1024;
const _: () = assert!(MATCHER_BYTES_MAX + size_of::<Key>() + 1024 <= ITEM_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_within_the_bound() {
        let cache = PatternCache::new(256 * 1024);
        for count in 1..200 {
            let pattern = PatternFormat::draft(format!("[a-z]{{1,{count}}}")).vet().unwrap();
            cache.compiled(&pattern).unwrap();
            assert!(cache.bytes() <= 256 * 1024);
        }
    }

    #[test]
    fn a_pattern_takes_the_bytes_of_its_text_and_of_its_matcher() {
        let (cache, text) = (PatternCache::new(1024 * 1024), "[a-z]".repeat(100));
        let matcher = cache.compiled(&PatternFormat::draft(text.as_str()).vet().unwrap()).unwrap();
        let bytes = matcher.bytes() + text.len();
        assert!((bytes..bytes + 128).contains(&cache.bytes()), "{}", cache.bytes());
    }

    #[test]
    fn a_pattern_is_compiled_once_while_it_is_in_use() {
        let cache = PatternCache::new(1024 * 1024);
        let pattern = PatternFormat::draft("[ab]{1,9000}").vet().unwrap();
        let first = cache.compiled(&pattern).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.compiled(&pattern.clone()).unwrap()));
    }

    #[test]
    fn each_of_many_patterns_is_checked_by_its_own() {
        let cache = PatternCache::new(8 * 1024 * 1024);
        for text in (0..300).map(|number| number.to_string()) {
            let pattern = PatternFormat::draft(text.as_str()).vet().unwrap();
            assert!(cache.compiled(&pattern).unwrap().matches(&text));
        }
    }

    #[test]
    fn unicode_is_part_of_the_key() {
        let cache = PatternCache::new(1024 * 1024);
        let ascii = PatternFormat::draft(r"\w").vet().unwrap();
        let unicode = PatternFormat::draft(r"\w").unicode().vet().unwrap();
        assert!(!cache.compiled(&ascii).unwrap().matches("é"));
        assert!(cache.compiled(&unicode).unwrap().matches("é"));
    }
}
