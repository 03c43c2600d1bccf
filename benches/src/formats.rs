//! Validation by each format, beside the seal of the same value.

use std::hint::black_box;

use strongroom::VarFormat;
use strongroom::format::{EnumFormat, PatternCache, PatternFormat, UrlSchemes};

use crate::envelope::{CONTEXT, NONCE, key};
use crate::{Run, Work};

/// One piece of work a format.
#[must_use]
pub fn works() -> Vec<Work> {
    let pem = concat!(
        "-----BEGIN PUBLIC KEY-----\n",
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n",
        "-----END PUBLIC KEY-----\n"
    );
    let json = r#"{"id":17,"tags":["a","b"],"nested":{"on":true,"rate":0.5},"name":"things"}"#;
    let word = "0123456789abcdef".repeat(64);
    let pattern =
        PatternFormat::draft("sk_(live|test)_[A-Za-z0-9]{24,64}").vet().expect("an ordinary pattern");
    let schemes = UrlSchemes::new(["https"]).expect("a scheme");
    let colours = EnumFormat::new(["red", "green", "blue"]).expect("three values");
    let url = "https://api.example.com:8443/v1/things?limit=10&sort=name#top";
    let formats = [
        (VarFormat::String, "a plain value of some length, as most of them are"),
        (VarFormat::Number, "-12345.678e3"),
        (VarFormat::Integer, "-1234567890"),
        (VarFormat::Boolean, "true"),
        (VarFormat::Url, url),
        (VarFormat::UrlWithScheme(schemes), url),
        (VarFormat::Json, json),
        (VarFormat::Uuid, "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        (VarFormat::Email, "first.last+tag@mail.example.com"),
        (VarFormat::Hostname, "a-long-name.eu-central-1.example.com"),
        (VarFormat::Uri, "sqlite:///var/lib/things/x.db"),
        (
            VarFormat::ConnectionString,
            "postgresql://u:p%40x@a.example:5432,b.example:5433/db?sslmode=require",
        ),
        (VarFormat::HostnameWithUnderscore, "my_db.internal.example.com"),
        (VarFormat::Ip, "2001:db8::8a2e:370:7334"),
        (VarFormat::Duration, "1h30m15.5s"),
        (VarFormat::DateTime, "2026-01-31T09:30:00.123+02:00"),
        (VarFormat::Semver, "1.20.300-rc.1+build.5"),
        (VarFormat::Base64, word.as_str()),
        (VarFormat::Pem, pem),
        (VarFormat::PemStrict, pem),
        (VarFormat::Enum(colours), "blue"),
        (VarFormat::Pattern(pattern), "sk_live_0123456789abcdefABCDEF0123456789"),
    ];
    formats.into_iter().map(|(format, value)| validate(format, value)).collect()
}

fn validate(format: VarFormat, value: &str) -> Work {
    let name = format!("validate {}, {} B", format.name(), value.len());
    let cache = PatternCache::new(1 << 20);
    format.validate_with(value, &cache).expect("the value is valid");
    let (checked, sealed, key) = (value.to_owned(), value.to_owned(), key());
    let work = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(format.validate_with(black_box(&checked), &cache).is_ok());
        }
    });
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(key.seal(&CONTEXT, &NONCE, black_box(sealed.as_bytes())).is_ok());
        }
    });
    Work::new(name, work, "seal of the same value", floor).bar(0.5)
}
