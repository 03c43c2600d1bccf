//! A store in a PostgreSQL database.

use std::path::Path;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use strongroom::store::{StoreError, StoreErrorKind};
use strongroom_postgres::{PostgresOptions, PostgresStore};

use super::{Kind, Life};

pub(super) const KIND: Kind = Kind {
    name: "postgres",
    is_at: |place| address(place).is_some(),
    open: |place| {
        let address = address(place).unwrap_or_default();
        if holds_password(address) {
            return Err(StoreError::new(
                StoreErrorKind::Unsupported,
                "an address is seen by every user of the machine: give the password in PGPASSWORD",
            ));
        }
        let mut options = PostgresOptions::parse(address)?;
        if let Some(password) = std::env::var_os("PGPASSWORD") {
            options = options.password(password.as_encoded_bytes());
        }
        Ok(Arc::new(PostgresStore::open(&options)?))
    },
    open_to_read: None,
    life: Life::Served,
};

fn address(place: &Path) -> Option<&str> {
    place.to_str().filter(|text| text.starts_with("postgres://") || text.starts_with("postgresql://"))
}

/// Whether the part before the host, or a parameter, has a password.
fn holds_password(address: &str) -> bool {
    let (_, rest) = address.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
    // The name of a parameter may also be written with escapes.
    user.contains(':') || percent_decode_str(rest).decode_utf8_lossy().contains("password=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_refused_before_anything_is_asked() {
        for address in [
            "postgres://u:p@h/d",
            "postgresql://u:p@h:1/d",
            "postgres://h/d?user=u&password=p",
            "postgres://h/d?passw%6Frd=p",
        ] {
            assert_eq!((KIND.open)(Path::new(address)).unwrap_err().kind(), StoreErrorKind::Unsupported);
        }
        assert!(!holds_password("postgres://u@h:5432/d?host=a@b:c"));
    }
}
