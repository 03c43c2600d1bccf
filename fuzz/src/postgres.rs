//! Addresses of PostgreSQL servers.

use std::error::Error;

use strongroom_postgres::PostgresOptions;

use crate::bytes::Bytes;

/// An address is read or refused; neither what is shown of it nor an error holds the password in it.
pub fn postgres_address(data: &[u8]) {
    let mut bytes = Bytes::of(data);
    // It is a password because of what surrounds it.
    let forms =
        [("postgres://u:", "@h/d"), ("user=u password=", " dbname=d"), ("postgres://h/d?password=", "")];
    let (before, after) = bytes.one_of(&forms);
    let (start, end) = (bytes.text(), bytes.text());
    let address = format!("{before}{start}{PASSWORD}{end}{after}{}", String::from_utf8_lossy(bytes.rest()));
    // In another place it is not a password. A file of certificates is read, and a device may have no end.
    if address.matches(PASSWORD).count() > 1
        || address.contains("sslrootcert")
        || address.contains('%') && address.contains("/dev")
    {
        return;
    }
    let shown = match PostgresOptions::parse(&address) {
        Ok(options) => format!("{options:?}"),
        Err(error) => {
            let mut shown = format!("{error} {error:?}");
            let mut source = error.source();
            while let Some(inner) = source {
                shown += &format!(" {inner} {inner:?}");
                source = inner.source();
            }
            shown
        }
    };
    assert!(!shown.contains(PASSWORD), "the password is shown");
}

const PASSWORD: &str = "pa55-0f-the-fuzzer";
