//! A struct of the host that is both the definitions of its variables and what a run reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Invalid};
use crate::format::{CustomFormats, Formats, VarFormat};
use crate::id::DefinitionId;
use crate::model::{Origin, ReadError, Resolution, Resolved, Revision, VariableDefinition};
use crate::secret::{Secret, SecretBytes};
use crate::tenant::{check_length, check_stored_definition};

/// The variables of a service as the fields of a struct. `#[derive(strongroom::Variables)]`, with the feature `derive`,
/// implements it.
pub trait Variables: Sized {
    /// The definitions of the fields, for [`Org::ensure_definitions`](crate::Org::ensure_definitions).
    ///
    /// # Errors
    /// [`Invalid::Definition`](crate::Invalid::Definition) for a format that does not fit the type of its field,
    /// [`Invalid::Format`](crate::Invalid::Format) for one that breaks a rule, and those of
    /// [`VariableDefinition::check`].
    fn definitions() -> Result<Vec<VariableDefinition>, Error>;

    /// Reads the fields from what a run sees.
    ///
    /// # Errors
    /// [`ReadError`], which names the variable and never shows its value.
    fn read(run: &Resolution) -> Result<Self, ReadError>;
}

/// A type that the value of a variable is read into.
pub trait Variable: Sized {
    /// Whether a run must have a value.
    const REQUIRED: bool = true;

    /// Whether values are secret.
    const SECRET: bool = false;

    /// The format of values, unless the host names another one.
    fn format() -> VarFormat;

    /// Whether every value of the format fits the type, as far as the format can tell.
    fn fits(format: &VarFormat) -> bool {
        *format == Self::format()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`ReadError::Missing`] and [`ReadError::Unfit`] with the `name`.
    fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError>;
}

impl VariableDefinition {
    /// A definition of `format` for values that are read into a `T`: encrypted and required as the type says.
    ///
    /// ```
    /// use strongroom::{Secret, VarFormat, VariableDefinition};
    /// let token = VariableDefinition::read_as::<Option<Secret>>("TOKEN", VarFormat::String)?;
    /// assert!(token.encrypted && !token.required);
    /// assert!(VariableDefinition::read_as::<u16>("PORT", VarFormat::Url).is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Definition`](crate::Invalid::Definition) if the format does not fit the type.
    pub fn read_as<T: Variable>(name: &str, format: VarFormat) -> Result<Self, Error> {
        if !T::fits(&format) {
            return Err(Invalid::definition(name, "the format does not fit the type of the field"));
        }
        let definition = Self::new(name, format);
        let definition = if T::SECRET { definition.encrypted() } else { definition };
        Ok(if T::REQUIRED { definition.required() } else { definition })
    }

    /// The same with a default, which must read as a `T`: a format such as `integer` does not say how large a value may
    /// be.
    ///
    /// ```
    /// use strongroom::{VarFormat, VariableDefinition};
    /// let port = || VariableDefinition::read_as::<u16>("PORT", VarFormat::Integer);
    /// assert!(port()?.default_read_as::<u16>("8080").is_ok());
    /// assert!(port()?.default_read_as::<u16>("70000").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Definition`](crate::Invalid::Definition) if the default does not read as a `T`.
    pub fn default_read_as<T: Variable>(self, default: &str) -> Result<Self, Error> {
        let found = Resolved {
            definition_id: DefinitionId::from([0; 12]),
            definition_revision: Revision::UNWRITTEN,
            name: self.name.clone(),
            encrypted: false,
            scope: Origin::Default,
            shadowed: Vec::new(),
            found: None,
            value: Secret::from(default),
        };
        match T::read(Some(&found), &self.name) {
            Ok(_) => Ok(self.default_value(default)),
            Err(_) => Err(Invalid::definition(&self.name, "the default does not fit the type of the field")),
        }
    }

    /// Checks the definition by itself, without a vault: it fails if [`Org::define`](crate::Org::define) would refuse
    /// the definition whatever is stored. The check of a custom format is registered with a vault, so a default of such
    /// a format passes here.
    ///
    /// ```
    /// use strongroom::{VarFormat, VariableDefinition};
    /// let refused = VariableDefinition::new("PORT", VarFormat::Integer).default_value("http").check().unwrap_err();
    /// assert!(refused.to_string().starts_with("the default of variable definition `PORT` is invalid"));
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Id`](crate::Invalid::Id) for an invalid name;
    /// [`Invalid::Definition`](crate::Invalid::Definition); [`Invalid::Default`](crate::Invalid::Default);
    /// [`Error::TooLong`].
    pub fn check(&self) -> Result<(), Error> {
        check_length(self)?;
        check_stored_definition(self, &Formats::new(ONE_PATTERN_BYTES, CustomFormats::default())).map(drop)
    }
}

/// A larger pattern does not fit into the cache, and is only compiled twice.
const ONE_PATTERN_BYTES: usize = 64 << 10;

fn present<'r>(found: Option<&'r Resolved>, name: &str) -> Result<&'r Resolved, ReadError> {
    found.ok_or_else(|| ReadError::Missing(name.to_owned()))
}

impl Variable for String {
    fn format() -> VarFormat {
        VarFormat::String
    }

    fn fits(_: &VarFormat) -> bool {
        true
    }

    fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError> {
        Ok(present(found, name)?.value.expose().to_owned())
    }
}

impl Variable for Secret {
    const SECRET: bool = true;

    fn format() -> VarFormat {
        VarFormat::String
    }

    fn fits(_: &VarFormat) -> bool {
        true
    }

    fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError> {
        Ok(present(found, name)?.value.expose().into())
    }
}

impl Variable for SecretBytes {
    const SECRET: bool = true;

    fn format() -> VarFormat {
        VarFormat::Bytes
    }

    fn fits(format: &VarFormat) -> bool {
        matches!(format, VarFormat::Bytes | VarFormat::Base64)
    }

    fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError> {
        present(found, name)?.value.to_bytes().map_err(|_| ReadError::Unfit(name.to_owned()))
    }
}

impl<T: Variable> Variable for Option<T> {
    const REQUIRED: bool = false;
    const SECRET: bool = T::SECRET;

    fn format() -> VarFormat {
        T::format()
    }

    fn fits(format: &VarFormat) -> bool {
        T::fits(format)
    }

    fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError> {
        found.map(|found| T::read(Some(found), name)).transpose()
    }
}

/// Types that parse their own text.
macro_rules! parsed {
    ($($kind:ty),* as $format:expr) => { $(
        impl Variable for $kind {
            fn format() -> VarFormat {
                $format
            }

            fn read(found: Option<&Resolved>, name: &str) -> Result<Self, ReadError> {
                present(found, name)?.value.expose().parse().map_err(|_| ReadError::Unfit(name.to_owned()))
            }
        }
    )* };
}

parsed!(bool as VarFormat::Boolean);
parsed!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize as VarFormat::Integer);
parsed!(f32, f64 as VarFormat::Number);
parsed!(IpAddr, Ipv4Addr, Ipv6Addr as VarFormat::Ip);
