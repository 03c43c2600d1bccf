//! Whether a new passphrase could be guessed by an attacker with a copy of the store.

use strongroom::Secret;

use crate::failure::Failure;

/// The requirements for a new passphrase.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct NewPassphrase {
    /// Accept a new passphrase that is easy to guess
    #[arg(long)]
    allow_weak: bool,
}

impl NewPassphrase {
    pub(crate) fn check(self, passphrase: &Secret) -> Result<(), Failure> {
        match weakness(passphrase.expose()) {
            Some(reason) if !self.allow_weak => Err(Failure::usage(format!(
                "the new passphrase is easy to guess: {reason}"
            ))
            .next("take a longer one, such as six words drawn at random; --allow-weak accepts this one")),
            Some(_) | None => Ok(()),
        }
    }
}

/// Catches short or regular passphrases, not well-known ones: no rule replaces drawing it at random.
fn weakness(text: &str) -> Option<&'static str> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < CHARS_MIN {
        return Some("it has fewer than 15 characters");
    }
    if (1..=chars.len() / 2).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b)) {
        return Some("it repeats itself");
    }
    let mut distinct = chars.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let next = |(a, b): (&char, &char)| u32::from(*a).abs_diff(u32::from(*b)) <= 1;
    let regular = chars.iter().zip(chars.iter().skip(1)).filter(|pair| next(*pair)).count();
    if distinct.len() < DISTINCT_MIN || regular > chars.len() / 2 {
        return Some("most of it follows a simple pattern");
    }
    None
}

/// NIST SP 800-63B-4, section 3.1.1.2: for a password that is the only factor.
const CHARS_MIN: usize = 15;
const DISTINCT_MIN: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_regular_is_weak() {
        for weak in [
            "x",
            "correct horse",
            "aaaaaaaaaaaaaaaa",
            "passwordpassword",
            "123456789012345",
            "abababcbabcbabab",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for good in ["six words from a generator", "correct horse battery staple", "vG9#tq!mP2zR7w&x"] {
            assert_eq!(weakness(good), None, "{good}");
        }
    }
}
