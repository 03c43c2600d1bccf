//! JSON texts as in RFC 8259. Its grammar allows numbers of any size, repeated names and lone surrogate escapes.

use serde_json::value::RawValue;

pub(super) fn is_json(value: &str) -> bool {
    is_shallow(value) && serde_json::from_str::<&RawValue>(value).is_ok()
}

/// The parser here is not recursive. The bound protects the parser that reads the value later.
fn is_shallow(value: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in value.bytes() {
        match byte {
            _ if escaped => escaped = false,
            // Outside of a string it is no JSON, whatever follows.
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

const DEPTH_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_text_is_valid_with_white_space_around_it() {
        for text in
            ["null", " {\"a\":[1,-0.0e+9,\"\\u00e9\"]}\n", "1e999", "{\"a\":1,\"a\":2}", "\"\\ud800\""]
        {
            assert!(is_json(text));
        }
    }

    #[test]
    fn what_the_grammar_leaves_out_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{a:1}",
            "'a'",
            "01",
            "NaN",
            "1 2",
            "\"\n\"",
            "\"\\x\"",
            "\u{feff}1",
            "// x\n1",
        ] {
            assert!(!is_json(text));
        }
    }

    #[test]
    fn nesting_is_bounded_outside_strings() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(&nested(128)) && !is_json(&nested(129)) && !is_json(&"[".repeat(65_536)));
        assert!(is_json(&format!("\"\\\"{}\"", "[".repeat(200))));
    }

    #[test]
    fn what_is_closed_again_is_not_nested_and_a_bracket_in_a_string_closes_nothing() {
        for beside in ["[],", "{},"] {
            assert!(is_json(&format!("[{}1]", beside.repeat(200))));
        }
        let nested = |depth: usize| "[\"]}\",".repeat(depth) + "1" + &"]".repeat(depth);
        assert!(is_json(&nested(128)) && !is_json(&nested(129)));
    }
}
