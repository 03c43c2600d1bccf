//! Where the tables of a vault are: in a schema, under a prefix that separates several vaults in it.

use strongroom_store::StoreError;

use crate::failure::unsupported;

/// The part of the address about the tables.
#[derive(Clone, Default)]
pub(crate) struct Layout {
    /// `None` if the address names no schema: then a vault of an earlier version is looked for too.
    pub(crate) schema: Option<String>,
    pub(crate) prefix: Option<String>,
    /// A role that may own the tables, besides those that are always trusted.
    pub(crate) owner: Option<String>,
}

impl Layout {
    pub(crate) fn set_schema(&mut self, name: String) -> Result<(), StoreError> {
        // `pg_temp` is a schema of the session's own, whose tables are gone with it.
        if name.starts_with("pg_") || name == "information_schema" {
            return Err(unsupported("schema names one of the server's own: choose another one"));
        }
        self.schema = Some(identifier(name, "")?);
        Ok(())
    }

    pub(crate) fn set_prefix(&mut self, prefix: String) -> Result<(), StoreError> {
        identifier(format!("{prefix}{VERSIONS}"), VERSIONS)?;
        self.prefix = Some(prefix);
        Ok(())
    }

    pub(crate) fn set_owner(&mut self, role: String) -> Result<(), StoreError> {
        self.owner = Some(identifier(role, "")?);
        Ok(())
    }

    /// The tables in this schema.
    pub(crate) fn tables(&self, schema: &str) -> Tables {
        let prefix = self.prefix.as_deref().unwrap_or(PREFIX);
        Tables { schema: schema.to_owned(), prefix: prefix.to_owned() }
    }
}

/// The two tables of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) schema: String,
    prefix: String,
}

impl Tables {
    /// The name of the table of rows.
    pub(crate) fn rows(&self) -> String {
        format!("{}{ROWS}", self.prefix)
    }

    /// The name of the table that holds the version of both.
    pub(crate) fn versions(&self) -> String {
        format!("{}{VERSIONS}", self.prefix)
    }

    /// A name in the schema, as written in a statement.
    pub(crate) fn qualified(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }
}

/// A name as written in a statement, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name that the server keeps whole: it cuts longer ones, and two vaults could end up in one table.
fn identifier(name: String, suffix: &str) -> Result<String, StoreError> {
    if name.is_empty() || name.contains('\0') || name.len() > IDENTIFIER_BYTES_MAX {
        let rule = match suffix {
            "" => "the name of a schema or a role is 1 to 63 bytes",
            _ => "a prefix is at most 57 bytes",
        };
        return Err(unsupported(rule));
    }
    Ok(name)
}

/// Where the tables are unless the address says otherwise.
pub(crate) const SCHEMA: &str = "strongroom";
pub(crate) const PREFIX: &str = "strongroom_";
const ROWS: &str = "rows";
const VERSIONS: &str = "schema";
const IDENTIFIER_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_so_that_none_ends_early() {
        let tables = Layout { prefix: Some("a\"; --".to_owned()), ..Layout::default() }.tables("x\"y");
        assert_eq!(tables.qualified(&tables.rows()), r#""x""y"."a""; --rows""#);
    }

    #[test]
    fn a_name_that_the_server_would_cut_or_that_is_its_own_is_refused() {
        let mut layout = Layout::default();
        for schema in ["", "pg_temp", "pg_catalog", "information_schema", &"s".repeat(64), "a\0b"] {
            assert!(layout.set_schema(schema.to_owned()).is_err(), "{schema:?}");
        }
        layout.set_schema("s".repeat(63)).unwrap();
        layout.set_prefix("p".repeat(57)).unwrap();
        assert!(layout.set_prefix("p".repeat(58)).is_err());
        layout.set_prefix(String::new()).unwrap();
    }
}
