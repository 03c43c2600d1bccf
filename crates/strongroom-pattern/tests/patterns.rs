//! What real patterns look like, what is refused and why.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use strongroom_pattern::{Pattern, PatternError};

/// Each pattern of a table is accepted, matches the one list of values and not the other.
fn hold(table: &[Row]) {
    for (text, yes, no) in table {
        let vetted = Pattern::draft(*text).vet();
        let matches = matcher(&vetted.unwrap_or_else(|refused| panic!("{text}: {refused}")));
        for value in *yes {
            assert!(matches(value), "{text} matches {value}");
        }
        for value in *no {
            assert!(!matches(value), "{text} does not match {value}");
        }
    }
}

/// Whether a pattern matches; one that is refused matches nothing.
fn matcher(pattern: &Pattern) -> impl Fn(&str) -> bool + use<> {
    let compiled = pattern.compile().ok();
    move |value| compiled.as_ref().is_some_and(|compiled| compiled.matches(value))
}

/// A pattern, values that match, values that do not.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

#[rustfmt::skip]
const ORDINARY: &[Row] = &[
    // Keys and tokens.
    ("sk_(live|test)_[A-Za-z0-9]{24,64}",
     &["sk_live_0123456789abcdefABCDEF01"], &["sk_live_short", "pk_live_0123456789abcdefABCDEF01"]),
    ("^gh[pousr]_[A-Za-z0-9]{36}$",
     &["ghp_0123456789abcdefghijABCDEFGHIJ012345"], &["ghp_0123", "ghx_0123456789abcdefghijABCDEFGHIJ012345"]),
    ("^xox[baprs]-([0-9a-zA-Z]{10,48})(-[0-9a-zA-Z]{10,48})*$",
     &["xoxb-1234567890-abcdefghij"], &["xoxb-", "xoxz-1234567890"]),
    ("^AKIA[0-9A-Z]{16}$", &["AKIAIOSFODNN7EXAMPLE"], &["AKIAIOSFODNN7EXAMPL", "akiaiosfodnn7example"]),
    (r"^AIza[0-9A-Za-z\-_]{35}$",
     &["AIzaSyA-0123456789_abcdefghijABCDEFGHIJ"], &["AIza", "AIzaSyA 0123456789_abcdefghijABCDEFGHI"]),
    (r"^SG\.[\w\-]{22}\.[\w\-]{43}$",
     &["SG.0123456789abcdefghijAB.0123456789abcdefghijABCDEFGHIJ0123456789-_w"], &["SG.a.b"]),
    ("^[0-9a-f]{32}$", &["0123456789abcdef0123456789abcdef"], &["0123456789ABCDEF0123456789ABCDEF", "0123"]),
    ("^[0-9a-f]{32}-us[0-9]{1,2}$",
     &["0123456789abcdef0123456789abcdef-us19"], &["0123456789abcdef0123456789abcdef-eu1"]),
    ("(?i)^[0-9A-F]{40}$",
     &["0123456789abcdefABCDEF0123456789abcdef01"], &["g123456789abcdefABCDEF0123456789abcdef01"]),
    (r"^eyJ[\w-]+\.[\w-]+\.[\w-]*$", &["eyJhbGciOiJub25lIn0.e30."], &["abc.def.ghi", "eyJhbGciOiJub25lIn0"]),
    (r"^[A-Za-z0-9-_]+\.[A-Za-z0-9-_]+\.[A-Za-z0-9-_]+$", &["a-b.c_d.e"], &["a.b", "a.b.c.d"]),
    ("^SK[0-9a-fA-F]{32}$", &["SK0123456789abcdefABCDEF0123456789"], &["AC0123456789abcdefABCDEF0123456789"]),
    (r"^\d{8,10}:[a-zA-Z0-9_-]{35}$", &["123456789:AAF0123456789abcdefghijABCDEFGHIJ_-"], &["1234:AAF"]),
    (r"^(Bearer|Basic) [\x21-\x7E]+$", &["Bearer abc.def", "Basic YTpi"], &["Bearer ", "bearer abc"]),
    (r"^[^\s]{20,200}$", &["01234567890123456789"], &["0123456789 0123456789", "short"]),
    (r"^\S+$", &["no-space", "é"], &["a b", "\u{9}"]),
    (r"^[\w-]{10,}$", &["abc_def-123"], &["short", "abc.def.123"]),
    (r"^[!-~]+$", &["p@ss~word!"], &["pass word", "é"]),
    // Accounts, workspaces, identifiers.
    ("^[a-zA-Z0-9_-]+$", &["a", "A_b-9"], &["a b", "a.b", "é"]),
    (r"^\w{1,64}$", &["user_1"], &["user-1", "é"]),
    (r"^\d+$", &["0", "123456"], &["12a", "١٢", "-1"]),
    (r"^\d{12}$", &["123456789012"], &["12345678901", "1234567890123"]),
    (r"^\d{3}-\d{3}-\d{4}$", &["123-456-7890"], &["1234567890"]),
    ("^(AC|SK|US)[0-9a-f]{32}$", &["AC0123456789abcdef0123456789abcdef"], &["XX0123456789abcdef0123456789abcdef"]),
    ("^[a-z0-9]+(?:-[a-z0-9]+)*$", &["a-slug-2"], &["-a", "a--b", "A"]),
    (r"^[A-Z][A-Z0-9]{1,9}-\d+$", &["PROJ-12"], &["proj-12", "PROJ-"]),
    ("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
     &["f81d4fae-7dec-11d0-A765-00a0c91e6bf6"], &["f81d4fae7dec11d0a76500a0c91e6bf6"]),
    ("^[0-9a-f]{24}$", &["6500a1b2c3d4e5f6a7b8c9d0"], &["6500a1b2c3d4e5f6a7b8c9d"]),
    ("^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
     &["01ARZ3NDEKTSV4RRFFQ69G5FAV"], &["81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAI"]),
    (r"^arn:(aws|aws-cn|aws-us-gov):[a-z0-9-]+:[a-z0-9-]*:(\d{12})?:[\w+=,.@/:-]+$",
     &["arn:aws:iam::123456789012:role/S3-Access", "arn:aws:s3:::bucket/key"], &["arn:aws:iam", "arn:gcp:iam::1:x"]),
    (r"^projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/locations/[a-z0-9-]+$",
     &["projects/my-project-1/locations/eu-west1"], &["projects/x/locations/y"]),
    (r"^@?[A-Za-z0-9_]{1,15}$", &["@handle", "handle"], &["@", "@much_too_long_for_it"]),
    ("^[CGD][A-Z0-9]{8,10}$", &["C012AB3CD"], &["c012ab3cd"]),
    (r"^[\w.\- ]{1,100}$", &["My workspace 1.0"], &["a/b", ""]),
    // Hosts and URLs.
    (r"^https?://([a-zA-Z0-9-]+\.)*example\.com(/.*)?$",
     &["https://example.com", "http://a.b.example.com/x?y=é"],
     &["https://example.com.evil.test", "https://notexample.com"]),
    (r"^https:\/\/[\w\-]+\.my\.salesforce\.com\/?$",
     &["https://acme.my.salesforce.com/", "https://a-b.my.salesforce.com"],
     &["https://my.salesforce.com", "http://acme.my.salesforce.com"]),
    (r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", &["a", "acme-eu"], &["-acme", "acme-", "Acme"]),
    (r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
     &["a.example", "x-y.z9.example"], &["example", "a..b", "-a.example"]),
    (r"^[a-zA-Z0-9-]+\.atlassian\.net$", &["acme.atlassian.net"], &["acme.atlassian.com", "acme.atlassian.net/x"]),
    (r"^(?:https?://)?(?:www\.)?[a-z0-9.-]+\.[a-z]{2,}(?::\d{2,5})?(?:/[^\s]*)?$",
     &["www.example.com:8080/a", "https://example.com"], &["https://", "example.com /"]),
    (r"^[a-z][a-z0-9+.-]*://[^\s/$.?#][^\s]*$", &["postgres://u:p@h:5432/db"], &["://h", "postgres://"]),
    (r"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)$",
     &["192.168.0.1", "255.255.255.255"], &["256.1.1.1", "1.2.3"]),
    (r"^(?:\d{1,3}\.){3}\d{1,3}/(?:3[0-2]|[12]?\d)$", &["10.0.0.0/8"], &["10.0.0.0/33"]),
    ("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", &["00:1B:44:11:3A:B7"], &["001B44113AB7"]),
    ("^[A-Za-z0-9.-]+:[0-9]{1,5}$", &["db.internal:5432"], &["db.internal"]),
    (r"^/(?:[\w.~-]+/?)*$", &["/", "/a/b.c/"], &["a/b", "//a b"]),
    // Mail and people.
    (r"^[\w-\.]+@([\w-]+\.)+[\w-]{2,4}$", &["first.last@mail.example.com"], &["a@b", "a b@c.de"]),
    (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", &["a@b.c", "é@b.c"], &["a@b", "a@@b.c"]),
    (r"^[a-zA-Z0-9.!#$%&'*+\/=?^_`{|}~-]+@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*$", &["o'hara+x@example.ie"], &["a@", "@b"]),
    (r"^\+?[1-9]\d{1,14}$", &["+4915112345678"], &["+0123", "1-2"]),
    (r"^\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}$", &["(555) 123-4567", "5551234567"], &["555-1234"]),
    (r"^[\u00C0-\u017Fa-zA-Z' -]+$", &["Zoë O'Hara"], &["1", "日本"]),
    (r"^[^<>]{1,255}$", &["any text, 日本"], &["<b>", ""]),
    // Dates, times, numbers, versions.
    (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
     &["2024-02-29T12:00:00Z"], &["2024-02-29 12:00:00", "2024-02-29T12:00:00.000Z"]),
    (r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", &["2024-12-31"], &["2024-13-01", "2024-1-1"]),
    (r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$", &["23:59", "00:00:00"], &["24:00", "1:00"]),
    (r"^(\*|[0-5]?\d)( (\*|[0-9,\-*\/]+)){4}$", &["0 0 * * 1-5", "* */2 1,15 * *"], &["0 0 * *"]),
    (r"^P(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?$", &["P1DT2H", "PT5M"], &["1D", "PT5X"]),
    (r"\d{1,10}(\.\d{1,2})?", &["0", "19.99"], &["1.999", ".5", "1."]),
    (r"^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$", &["-0.5e+3"], &["01", "+1"]),
    (concat!(r"^(?P<major>0|[1-9]\d*)\.(?<minor>0|[1-9]\d*)\.(0|[1-9]\d*)",
             r"(?:-([\da-zA-Z-]+(?:\.[\da-zA-Z-]+)*))?(?:\+[\da-zA-Z.-]+)?$"),
     &["1.2.3", "1.0.0-rc.1+5"], &["1.2", "01.2.3"]),
    (r"^v?\d+(\.\d+){0,3}$", &["v1", "1.2.3.4"], &["v", "1.2.3.4.5"]),
    (r"^(100|[1-9]?\d)%?$", &["0", "99%", "100"], &["101", "%"]),
    (r"^#(?:[0-9a-fA-F]{3}){1,2}$", &["#fff", "#A0b1C2"], &["#ff", "fff"]),
    ("^[A-Z]{3}$", &["EUR"], &["eur", "EURO"]),
    (r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$", &["DE89370400440532013000"], &["DE8937"]),
    ("^[a-z]{2}(-[A-Z]{2})?$", &["en", "de-AT"], &["EN", "de_AT"]),
    (r"^(us|eu|ap|sa|ca|me|af)-(north|south|east|west|central|northeast|southeast)-\d$", &["eu-central-1"], &["eu-1"]),
    ("^(us|eu|au|in|jp|ca)$", &["eu"], &["EU", "us "]),
    ("(?i)^(true|false|yes|no|on|off)$", &["TRUE", "Off"], &["1", "o\u{17f}f"]),
    // Texts and encodings.
    ("^.{1,}$", &["x", "日本"], &["a\nb"]),
    ("^.{0,255}$", &["x"], &[""]),
    ("^.{1,1024}$", &["x"], &["a\nb"]),
    (r"^[\s\S]+$", &["a\nb"], &[""]),
    ("(?s)^.+$", &["a\nb", "\u{10ffff}"], &[""]),
    (r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=)?$", &["Zm9v", "Zg=="], &["Zg", "Z==="]),
    (r"^-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]+-----END (?:[A-Z]+ )*PRIVATE KEY-----\s*$",
     &["-----BEGIN RSA PRIVATE KEY-----\nMA==\n-----END RSA PRIVATE KEY-----\n"], &["-----BEGIN PUBLIC KEY-----"]),
    (r"^[a-zA-Z_$][\w$]*$", &["_name$1"], &["1a", "a-b"]),
    (r"^[A-Z][A-Z0-9_]*$", &["API_BASE_URL"], &["api", "1A"]),
    (r#"^[^\\\/:*?"<>|]+\.(?:json|ya?ml)$"#, &["a b.yaml"], &["a/b.json", "a.yaml.txt"]),
    (r"^\{\{\s*[\w.]+\s*\}\}$", &["{{ user.name }}"], &["{user}"]),
    (r"^[!@#$%^&*()_+\-=\[\]{};':\x22\\|,.<>\/?]+$", &["!@#[]"], &["a"]),
    (r"^[\w-]{1,80}-[\w-]{1,50}$", &["my-resource-group", "a-b"], &["-a", "a-", "no_hyphen"]),
    (r"^.{1,100}:.{1,100}$", &["a:b:c", "é:é"], &[":a", "a:", "ab"]),
    (r"^(?:foo|bar)\b.*$", &["foo", "bar-x"], &["foobar"]),
    (r"^s3://[a-z0-9.\-]{3,63}(/.*)?$", &["s3://my-bucket/key"], &["s3://ab", "gs://my-bucket"]),
    (r"^urn:[a-z0-9][a-z0-9-]{0,31}:[a-z0-9()+,\-.:=@;$_!*'%\/?#]+$", &["urn:isbn:0451450523"], &["urn::x"]),
];

#[test]
fn ordinary_patterns_are_accepted_and_match_what_they_mean() {
    hold(ORDINARY);
    for (text, yes, no) in ORDINARY {
        assert!(!yes.is_empty() && !no.is_empty(), "{text} has examples");
    }
}

#[test]
fn a_line_ends_at_a_line_feed_or_a_carriage_return() {
    for (text, yes, no) in [
        ("^.{1,9}$", "a b", "a\rb"),
        ("^.+$", "a", "a\n"),
        ("^a$", "a", "a\r"),
        ("(?s)^.+$", "a\r\n", ""),
        (r"^[\s\S]+$", "a\r\n", ""),
        (r"(?m)^a$\s+^b$", "a\r\nb", "a b"),
        (r"(?m)^a\r$\nb", "", "a\r\nb"),
    ] {
        let matches = matcher(&Pattern::draft(text).assume_vetted());
        assert!((yes.is_empty() || matches(yes)) && (no.is_empty() || !matches(no)), "{text}");
    }
}

/// Look-around: one character anywhere, more of them where the place is known.
#[rustfmt::skip]
const LOOK_AROUNDS: &[Row] = &[
    (r"^(?=.{8,16}$)[a-z]+(-[a-z]+)*$", &["abc-defg"], &["abc-def", "abcdefghijklmnopq"]),
    (r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^\w]).{8,}$", &["aB3-aB3-"], &["aB3-aB3", "ab3-ab3-", "aB3caB3c"]),
    (r"^(?!aws:).{1,128}$", &["a", "aw:s", "xaws:"], &["aws:", "aws:x"]),
    (r"(?i)^(?!aws|internal-)\w+-?$", &["aw"], &["AWS1", "internal-"]),
    (r"^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$", &["a", "a-b"], &["-a", "a-", "-"]),
    (r"^((?!-)[a-z0-9-]{1,63}(?<!-)\.)+[a-z]{2,}$", &["a-b.c.de"], &["a-.de", "-a.de", "a..de"]),
    (r"^(?=.{1,12}$)([a-z]+\.)+[a-z]+$", &["abc.def.ghi", "abc.def.ghij"], &["abc.def.ghijk"]),
    (r"^[a-z](?!.*--)[a-z0-9-]*$", &["a", "a-b-c"], &["a--b", "-a"]),
    (r"^[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,38}$", &["a-b"], &["a-", "a--b"]),
    (r"^(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}$",
     &["123-45-6789"], &["000-45-6789", "666-45-6789", "123-00-6789", "123-45-0000"]),
    (r"^[\w.-]+(?<!\.git)$", &["a", "a.gi", ".gitx"], &["a.git", ".git"]),
    (r"^[a-z-]{3,}(?<!-s3)(?<!-ext)$", &["abc"], &["abc-s3", "abc-ext"]),
    (r"^(?! )[^\n]*(?<! )$", &["a b"], &[" a", "a ", " "]),
    (r"^(?!\s*$).+$", &[" a "], &["  "]),
    (r"^P(?!$)(\d+Y)?(\d+D)?(T(?=\d)(\d+H)?(\d+S)?)?$", &["P1Y", "PT5S", "P1DT2H"], &["P", "PT", "P1DT"]),
    (r"^((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$)|$)){4}$", &["10.0.0.1"], &["10.0.0.1.", "10.0.0"]),
    (r"^\d{4}$|^(?!XX)[A-Z]{2}\d$", &["1234", "AB1"], &["XX1"]),
    (r"^(?:(?!x-|y-).+|z)?\.txt$", &["a.txt", "z.txt", ".txt"], &["x-a.txt", "y-.txt"]),
    (r"^a(?=b|$).*$", &["a", "ab", "abc"], &["ac", "b"]),
    (r"^[^x]*(?<=y|^)z$", &["z", "yz", "ayz"], &["az", "xz"]),
    (r"^(?!.*\b(?:null|none)\b)\S+$", &["nulls", "a-nonesuch"], &["null", "a-none"]),
    (r"^(?=[a-z]+\d)\w+$", &["ab1", "a1_"], &["1a", "abc", "_1"]),
];

/// One look-around inside of another, each with its own side and sign.
#[rustfmt::skip]
const NESTED: &[Row] = &[
    (r"^(?=(?!a))\w+$", &["b", "ba"], &["a", "ab"]),
    (r"^(?!(?!a))\w+$", &["a", "ab"], &["b", "ba"]),
    (r"^\w(?=(?<=a)|b)\w*$", &["a", "ac", "cb"], &["c", "ca"]),
    (r"^\w+(?<=(?<!a))$", &["b", "ab"], &["a", "ba"]),
];

#[test]
fn a_look_around_inside_of_another_keeps_its_side_and_its_sign() {
    hold(NESTED);
}

#[test]
fn look_around_asks_for_one_character_anywhere_or_for_more_in_a_known_place() {
    hold(LOOK_AROUNDS);
}

/// What other dialects write: each means here what it means there.
#[rustfmt::skip]
const DIALECTS: &[Row] = &[
    (r"/^[a-f]{2}$/", &["ab"], &["AB", "/ab/"]),
    (r"/^[a-f]{2}$/i", &["ab", "AB"], &["/ab/"]),
    ("/[a-f]{2}/", &["/ab/"], &["ab"]),
    (r"\A[a-z]+\Z", &["a"], &["a\n", "Z"]),
    (r"^[^[\]\s]{2,}$", &["ab"], &["a[", "a]", "a b"]),
    (r"^[\w@[\]-]+:[^{}[]+$", &["a[0]:b", "a-b:]"], &["a:[", "a{:b"]),
    (r"^[^][ ]+$", &["ab"], &["[", "]", " "]),
    (r"^[\w.[-]+$", &["a[-"], &["]", "\\"]),
    (r"^[[:alnum:]_]+$", &["a_1"], &["[", ":"]),
    (r"^{{[a-z]+}}$", &["{{name}}"], &["{name}"]),
    (r"^\$\{[A-Z]+}|{[a-z]+}$", &["${HOME}", "{home}"], &["$HOME", "{HOME}"]),
    (r"^x{a}$", &["x{a}"], &["xa"]),
    (r"^[\<\=\>]+$", &["<=>"], &["\\"]),
    (r"^[\p{Alnum}\-]{3,}$", &["a-1"], &["é-1", "a_1"]),
    (r"^\p{XDigit}{2}\P{Digit}$", &["fFé"], &["fgx", "ff0"]),
    (r"[\p{Print}&&[^:/]]+", &["a b"], &["a:b", "é"]),
    (r"^[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]+$", &["a \u{1F600}"], &["\n", "\u{E000}"]),
    (r"^[\p{ASCII}&&[^ ]]+\p{Punct}$", &["a-"], &["a -", "a", "é-"]),
    (r"(?x)^ [a\ \#]+ $", &["a #"], &["b"]),
    (r"^a+?b??c*?$", &["aac", "ab"], &["c"]),
];

#[test]
fn what_other_dialects_write_means_what_it_means_there() {
    hold(DIALECTS);
}

#[test]
fn what_is_refused_says_why() {
    let reasons = [
        (
            r"[a-z]+(?=-x).+",
            "a look-ahead of more than one character must be a fixed number of characters after the start, \
             as in ^(?!.*--) (at byte 6)",
        ),
        (
            r"[\w-.](?<!ab)c+",
            "a look-behind of more than one character must be a fixed number of characters before the end, \
             as in (?<!--)$ (at byte 6)",
        ),
        (
            r"(?:(?!aa)[ab])+",
            "a look-ahead of more than one character must be a fixed number of characters after the start, \
             as in ^(?!.*--) (at byte 3)",
        ),
        (r"(?=a", "unclosed group (at byte 0)"),
        (
            r"(a)\1",
            "back-references are not supported: write an alternative for each text that may repeat (at byte 3)",
        ),
        (r"a{1-3}", r"write a count as {2}, {2,} or {2,9}, and \{ for the character (at byte 1)"),
        (r"a{,3}", r"write a count as {2}, {2,} or {2,9}, and \{ for the character (at byte 2)"),
        (
            r"[\uD800-\uDBFF]",
            r"write a character past U+FFFF as \u{1F600}, not as half of a surrogate pair (at byte 3)",
        ),
        ("{a[b]c[d[e]]", r"write \[ for the character; classes do not nest (at byte 8)"),
        (
            "[!--]",
            "put what follows &&, -- or ~~ in brackets, or a backslash before each of them (at byte 1)",
        ),
        ("[a-z]++", "possessive counts are not supported: leave out the second + (at byte 6)"),
        (
            r"/^[a-z]+\1$/",
            "back-references are not supported: write an alternative for each text that may repeat (at byte 8)",
        ),
        ("a)|(b", "unopened group (at byte 1)"),
        ("[a", "unclosed character class (at byte 0)"),
        (r"[\w-.](", "unclosed group (at byte 6)"),
        (r"([\w-.][\d-.]", "unclosed group (at byte 0)"),
        (r"(?u)\w", "Unicode is asked for beside the pattern, not with a flag in it (at byte 2)"),
        ("(?U)a+", "leave out the flag U, which means one thing in Java and another in Go (at byte 2)"),
        ("(?i-U:a)", "leave out the flag U, which means one thing in Java and another in Go (at byte 2)"),
        ("a{ 2}", r"write a count without spaces, and \{ for the character (at byte 1)"),
        ("a{2, 3}", r"write a count without spaces, and \{ for the character (at byte 1)"),
        ("(?x)[a b]", "with (?x), put a backslash before white space and # in a class (at byte 4)"),
        (r"\p{ALNUM}", "write [[:alnum:]] for the characters of ASCII, or ask for Unicode (at byte 0)"),
        (r"[\p{Word}-]", "write [[:word:]] for the characters of ASCII, or ask for Unicode (at byte 1)"),
        (r"\p{Alpha}", "write [[:alpha:]] for the characters of ASCII, or ask for Unicode (at byte 0)"),
        (r"\<b\>", "write < and > without a backslash (at byte 0)"),
        (r"\p{Nope}", "Unicode property not found (at byte 0)"),
        ("", "no value can match the pattern; a value is never empty"),
        ("a^", "no value can match the pattern; a value is never empty"),
    ];
    for (text, reason) in reasons {
        assert_eq!(Pattern::draft(text).vet().unwrap_err().to_string(), reason, "{text}");
    }
}

#[test]
fn a_pattern_has_at_most_1_kib() {
    assert!(Pattern::draft("a".repeat(1024)).vet().is_ok());
    let refused = Pattern::draft("a".repeat(1025)).vet();
    assert_eq!(refused, Err(PatternError::TooLong { bytes_max: 1024 }));
}

#[test]
fn hostile_patterns_are_refused_before_they_cost_anything() {
    let wide = format!("(?i){}", r"\pL".repeat(300));
    let nested = "(?:".repeat(100) + "a" + &")*".repeat(100);
    let looks = "(?=.*x[ab]{900}y)".repeat(9) + ".*";
    // As many places as have numbers.
    let (most, last) = (".{65534}", "[a-z]{65535}");
    for text in ["(a{1000}){1000}", "[01]*1[01]{30000}x", "(?:ab?){9000}", most, last, &wide, &nested, &looks]
    {
        let refused = Pattern::draft(text).vet().unwrap_err();
        assert!(matches!(refused, PatternError::TooComplex { .. } | PatternError::Syntax { .. }), "{text}");
    }
}

/// Each of them would need a table of more states than there are bytes in a value.
#[rustfmt::skip]
const COUNTED: &[Row] = &[
    (r"^https?:\/\/(www\.)?[-\w@:%.+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-\w()@:%+.~#?&\/=]*)$",
     &["https://a.b-c.example.com/x?y=1"], &["https://example", "ftp://a.example"]),
    (r"^https:\/\/[\w.-]{1,253}\.s3(\.[a-z\d-]{9,16})?\.amazonaws\.com\/.{1,2000}$",
     &["https://a.s3.s3.eu-central-1.amazonaws.com/k"], &["https://s3.amazonaws.com/k"]),
    (r"^arn:aws[a-z-]*:iam::\d{12}:role/([!-~]{1,510}/)?[\w+=,.@-]{1,64}$",
     &["arn:aws:iam::123456789012:role/a/b/c"], &["arn:aws:iam::123456789012:role/a/"]),
    (r"^[\w/+=.@-]{1,512}-[A-Za-z0-9]{6}$", &["a-b-c-d1E2f3"], &["a-b-c-d1E2f", "-d1E2f3"]),
    (r"^[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}(\.?[a-z0-9-]{1,63})(:[a-z0-9-]{1,63}){0,2}$",
     &["a.b.c:d:e"], &["a.b.c:d:e:f", "a"]),
    (r"^\S{3,50}:\S{3,50}@[-.%\w/:]+$", &["user:pass:word@host:1/x"], &["us:pass@host", "user:pass"]),
    (r"^(?:[a-z]{1,50}\.?){1,60}$", &["a.bc.d"], &["a..b", ".a"]),
    (r"^[01]*1[01]{900}x?$", &[], &["01"]),
    (r"^.{1,100000}$", &["a"], &["\n"]),
];

#[test]
fn counts_are_counted_where_a_table_would_be_too_large() {
    hold(COUNTED);
    let matches = matcher(&Pattern::draft("[01]*1[01]{900}").vet().unwrap());
    let value = |before: usize, after: usize| format!("{}1{}", "0".repeat(before), "0".repeat(after));
    assert!(matches(&value(0, 900)) && matches(&value(500, 900)));
    assert!(!matches(&value(500, 899)) && !matches(&value(500, 901)));
}

/// Both ends of the bound on work, for each kind of work: what was stored must compile for good, on every machine.
#[test]
fn the_largest_patterns_that_are_accepted_stay_the_same() {
    type Family = (fn(usize) -> String, usize);
    let families: [Family; 7] = [
        (|n| format!(".{{1,{n}}}"), 15_893),
        (|n| format!(".{{1,{n}}}:.{{1,{n}}}"), 7_351),
        (|n| format!("(?:abc){{{n}}}"), 5_297),
        (|n| format!("[ab]*a[ab]{{{n}}}"), 3_517),
        (|n| format!("(?!.*x[ab]{{{n}}}y).+"), 2_903),
        (|n| format!("(?:a?){{{n}}}"), 545),
        (|n| format!("(?i){}a", r"\pL".repeat(n)), 2),
    ];
    for (pattern, largest) in families {
        assert!(Pattern::draft(pattern(largest)).vet().is_ok(), "{}", pattern(largest));
        let refused = Pattern::draft(pattern(largest + 1)).vet();
        assert!(matches!(refused, Err(PatternError::TooComplex { .. })), "{}", pattern(largest + 1));
    }
}

#[test]
fn a_value_longer_than_any_may_be_matches_no_pattern() {
    for text in ["a+", "(?!b).+", "a{1,70000}", "(?!.*aa).*|a+"] {
        let matches = matcher(&Pattern::draft(text).vet().unwrap());
        assert!(matches(&"a".repeat(64 * 1024)), "{text}");
        assert!(!matches(&"a".repeat(64 * 1024 + 1)), "{text}");
    }
}

#[test]
fn the_examples_are_tried_and_named_by_their_place() {
    let draft = || Pattern::draft("a+").must_match("a").must_not_match("b");
    assert!(draft().vet().is_ok());
    assert_eq!(draft().must_match("b").vet(), Err(PatternError::ExampleDoesNotMatch { index: 1 }));
    assert_eq!(draft().must_not_match("aa").vet(), Err(PatternError::ExampleMatches { index: 1 }));
    assert_eq!(
        Pattern::draft("a*").must_match("").vet(),
        Err(PatternError::ExampleDoesNotMatch { index: 0 })
    );
    let many = (0..33).fold(draft(), |draft, _| draft.must_match("a")).vet();
    assert!(matches!(many, Err(PatternError::TooManyExamples { .. })));
}

#[test]
fn the_examples_have_at_most_4_kib_together() {
    let vetted = |bytes: usize| {
        Pattern::draft("a+").must_match("a".repeat(bytes)).must_match("a").must_not_match("bb").vet()
    };
    assert!(vetted(4 * 1024 - 3).is_ok());
    assert!(matches!(vetted(4 * 1024 - 2), Err(PatternError::TooManyExamples { .. })));
}

#[test]
fn classes_and_case_folding_are_ascii_unless_unicode_is_asked_for() {
    for (text, value) in [
        (r"\w", "é"),
        (r"\d", "١"),
        (r"\s", "\u{a0}"),
        ("(?i)k", "\u{212a}"),
        ("(?i)[s]", "ſ"),
        (r".\b-", "é-"),
    ] {
        assert!(!matcher(&Pattern::draft(text).vet().unwrap())(value), "{text}");
        assert!(matcher(&Pattern::draft(text).unicode().vet().unwrap())(value), "{text}");
    }
    for text in [".", r"\W", r"[^\w]", r"\D", r"\S", "[^a]", "é", r"\u00e9", "[à-ÿ]", r"\pL"] {
        assert!(matcher(&Pattern::draft(text).vet().unwrap())("é"), "{text}");
    }
}

#[test]
fn a_negated_class_folds_ascii_alone_unless_unicode_is_asked_for() {
    for (text, taken, folded) in [
        ("(?i)[^k]+", "\u{212a}\u{17f}", "K"),
        (r"(?i)\W", "ſ", "S"),
        (r"(?i)\P{Alnum}", "\u{212a}", "K"),
        (r"(?i).(?<=[^s])-", "ſ-", "S-"),
    ] {
        let matches = matcher(&Pattern::draft(text).vet().unwrap());
        assert!(matches(taken) && !matches(folded), "{text}");
    }
    for text in ["(?i)[^k]", "(?i)[^ak-m]"] {
        assert!(!matcher(&Pattern::draft(text).unicode().vet().unwrap())("\u{212a}"), "{text}");
    }
}

#[test]
fn a_pattern_that_was_never_vetted_is_refused_when_it_is_compiled() {
    let pattern = Pattern::draft("(a)\\1").assume_vetted();
    assert!(matches!(pattern.compile(), Err(PatternError::Syntax { at: 3, .. })));
}

fn regex(text: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(text).crlf(true).build()
}

/// Small patterns in which every construct that the table is made from meets every other.
fn pattern() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a",
        "b",
        "é",
        ".",
        "[ab]",
        "[^a]",
        r"\w",
        r"\W",
        r"\d",
        r"\s",
        "1",
        " ",
        r"\n",
        r"\pL",
        "^",
        "$",
        r"\b",
        r"\B",
        "(?i:A)",
        "(?i:É)",
        "(?m:^)",
        "(?m:$)",
        "(?s:.)",
        r"[\w--[a]]",
        r"\A",
        r"\z",
        "[a-c&&[^b]]",
    ]);
    atom.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let times = prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "{0}"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner, times).prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_matches_what_the_regex_crate_matches(
        text in pattern(),
        values in prop::collection::vec("[ab1éÉA \r\n]{1,5}", 24),
    ) {
        let regex = regex(&format!(r"\A(?:{text})\z")).unwrap();
        let draft = Pattern::draft(text.as_str()).unicode();
        prop_assume!(!matches!(draft.clone().vet(), Err(PatternError::TooComplex { .. })));
        let matches = matcher(&draft.assume_vetted());
        let ascii = matcher(&Pattern::draft(text).assume_vetted());
        for value in &values {
            prop_assert_eq!(matches(value), regex.is_match(value));
            // Without Unicode the same holds wherever there is none.
            prop_assert!(!value.is_ascii() || ascii(value) == regex.is_match(value));
        }
    }

    #[test]
    fn a_look_around_holds_where_its_own_pattern_matches_the_text_beside_it(
        start in "[ab.]{0,2}",
        middle in pattern(),
        asked in pattern(),
        negated: bool,
        values in prop::collection::vec("[ab1éA \r\n]{1,5}", 24),
    ) {
        let asks = |behind: bool| match (behind, negated) {
            (false, false) => "=",
            (false, true) => "!",
            (true, false) => "<=",
            (true, true) => "<!",
        };
        let ahead = format!("(?s:{start})(?{}{asked})(?:{middle})", asks(false));
        let behind = format!("(?:{middle})(?{}{asked})(?s:{start})", asks(true));
        for (text, taken, beside) in [
            (&ahead, format!(r"\A(?s:{start})(?:{middle})\z"), format!(r"\A(?s:.{{{}}})(?:{asked})", start.len())),
            (&behind, format!(r"\A(?:{middle})(?s:{start})\z"), format!(r"(?:{asked})(?s:.{{{}}})\z", start.len())),
        ] {
            let (taken, beside) = (regex(&taken).unwrap(), regex(&beside).unwrap());
            let draft = Pattern::draft(text.as_str()).unicode();
            prop_assume!(!matches!(draft.clone().vet(), Err(PatternError::TooComplex { .. })));
            let matches = matcher(&draft.assume_vetted());
            for value in &values {
                let expected = taken.is_match(value) && beside.is_match(value) != negated;
                prop_assert_eq!(matches(value), expected, "{} on {}", text, value);
            }
        }
    }
}
