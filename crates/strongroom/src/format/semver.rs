//! Versions as in Semantic Versioning 2.0.0, with numbers of any size. Checked in place.

pub(super) fn is_semver(value: &str) -> bool {
    let (version, build) =
        value.split_once('+').map_or((value, None), |(version, build)| (version, Some(build)));
    let (core, pre) = version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
    let is_release = |pre: &str| pre.split('.').all(|part| is_identifier(part) && !is_padded(part));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(is_release)
        && build.is_none_or(|build| build.split('.').all(is_identifier))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !is_padded(text)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A number with a zero in front.
fn is_padded(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_three_numbers_and_may_have_more_behind_them() {
        for text in [
            "0.0.0",
            "1.2.3",
            "1.0.0-alpha.1",
            "1.0.0-0a.x-y",
            "1.0.0+build.001",
            "1.0.0--+-",
            "1.2.99999999999999999999",
        ] {
            assert!(is_semver(text));
        }
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "01.2.3",
            "1.2.3-01",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3+a+b",
            "1.2.3 ",
        ] {
            assert!(!is_semver(text));
        }
    }
}
