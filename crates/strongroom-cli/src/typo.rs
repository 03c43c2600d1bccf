//! Finds the known name that a mistyped one is close to.

/// The known name that is closest to a mistyped one, if any is close. Never the one that was typed.
pub(crate) fn closest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let others = known.into_iter().filter(|name| *name != typed);
    let typed = typed.to_lowercase();
    let distances = others.map(|name| (distance(&typed, &name.to_lowercase()), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (typed.chars().count() / 3).min(TYPOS_MAX)).then_some(name)
}

/// In a long name, more wrong letters make another word of it.
const TYPOS_MAX: usize = 3;

/// An abbreviation is close, and so are two letters in the wrong order.
fn distance(typed: &str, name: &str) -> usize {
    let is_start = typed.len() >= 3 && name.starts_with(typed);
    if is_start { 1 } else { strsim::damerau_levenshtein(typed, name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_another_word_none() {
        let known = ["API_URL", "PORT", "production"];
        assert_eq!(closest("API_ULR", known), Some("API_URL"));
        assert_eq!(closest("api_url", known), Some("API_URL"));
        assert_eq!(closest("prod", known), Some("production"));
        assert_eq!(closest("TOKEN", known), None);
        assert_eq!(closest("X", known), None);
        assert_eq!(closest("STRIPE_WEBHOOK_SECRET", ["STRIPE_PUBLIC_SECRET"]), None);
        assert_eq!(
            closest("STRIPE_WEBHOOK_SECERT", ["STRIPE_WEBHOOK_SECRET"]),
            Some("STRIPE_WEBHOOK_SECRET")
        );
        assert_eq!(closest("PORT", known), None);
    }
}
