//! Reading what a run sees into the host's own types.

use std::str::FromStr;

use crate::model::{ReadError, Resolution};

impl Resolution {
    /// The value called `name`, parsed; `None` if nothing resolved.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, ScopePath};
    /// org.set_value("PORT", Scope::Org, "8080").await?;
    /// let run = org.resolve_all(&ScopePath::org()).await?;
    /// assert_eq!(run.parse::<u16>("PORT").unwrap(), Some(8080));
    /// assert!(run.parse::<u8>("PORT").is_err()); // and the error does not show the value
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ReadError::Unfit`] if the value does not parse as a `T`.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, ReadError> {
        let parse = |text: &str| text.parse().map_err(|_| ReadError::Unfit(name.to_owned()));
        self.get(name).map(|found| parse(found.value.expose())).transpose()
    }
}

#[cfg(feature = "serde")]
mod serde {
    use std::fmt;

    use ::serde::de::value::StrDeserializer;
    use ::serde::de::{
        self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess,
        Visitor,
    };
    use ::serde::forward_to_deserialize_any;

    use crate::model::{ReadError, Resolution, Resolved};
    use crate::secret::{Secret, SecretBytes};

    impl Resolution {
        /// Reads the run into a struct whose fields are named like the definitions. A field that is a [`Secret`] stays
        /// one; [`SecretBytes`] are read from base64; a list or struct is read from JSON; a field that is an `Option`
        /// or has a default may be absent.
        ///
        /// ```
        /// # strongroom_conformance::with_port(async |org| {
        /// #[derive(serde::Deserialize)]
        /// #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        /// struct Env { port: u16, token: Option<strongroom::Secret> }
        /// org.set_value("PORT", strongroom::Scope::Org, "8080").await?;
        /// let run = org.resolve_all(&strongroom::ScopePath::org()).await?;
        /// let env: Env = run.deserialize().unwrap();
        /// assert!(env.port == 8080 && env.token.is_none());
        /// # Ok(()) });
        /// ```
        ///
        /// # Errors
        /// [`ReadError`], which names the variable and never shows its value.
        pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
            T::deserialize(Run(self)).map_err(|fault| match fault {
                Fault::Of(error) => error,
                Fault::Unnamed => ReadError::Shape,
            })
        }
    }

    /// A copy of the text, which the deserializer must wipe if it owned it.
    impl<'de> Deserialize<'de> for Secret {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Text;
            impl Visitor<'_> for Text {
                type Value = Secret;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a text")
                }

                fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                    Ok(text.into())
                }

                fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
                    Ok(text.into())
                }
            }
            deserializer.deserialize_string(Text)
        }
    }

    /// Reads base64, as [`Secret::to_bytes`] does.
    impl<'de> Deserialize<'de> for SecretBytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Secret::deserialize(deserializer)?.to_bytes().map_err(de::Error::custom)
        }
    }

    /// Drops the message of serde, since it may quote a value.
    #[derive(Debug)]
    enum Fault {
        Of(ReadError),
        Unnamed,
    }

    impl fmt::Display for Fault {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a variable does not fit")
        }
    }

    impl std::error::Error for Fault {}

    impl de::Error for Fault {
        fn custom<T: fmt::Display>(_: T) -> Self {
            Self::Unnamed
        }

        fn missing_field(field: &'static str) -> Self {
            Self::Of(ReadError::Missing(field.to_owned()))
        }
    }

    struct Run<'r>(&'r Resolution);

    impl<'de> Deserializer<'de> for Run<'_> {
        type Error = Fault;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_map(Fields { rest: self.0.values.iter(), current: None })
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    struct Fields<'r> {
        rest: std::slice::Iter<'r, Resolved>,
        current: Option<&'r Resolved>,
    }

    impl<'de> MapAccess<'de> for Fields<'_> {
        type Error = Fault;

        fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
            self.current = self.rest.next();
            let Some(found) = self.current else { return Ok(None) };
            let name: StrDeserializer<'_, Fault> = found.name.as_str().into_deserializer();
            seed.deserialize(name).map(Some)
        }

        fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
            let found = self.current.take().ok_or(Fault::Unnamed)?;
            let unfit = |_| Fault::Of(ReadError::Unfit(found.name.clone()));
            seed.deserialize(Text(found.value.expose())).map_err(unfit)
        }
    }

    /// One value, deserialized as its field's type.
    struct Text<'t>(&'t str);

    impl Text<'_> {
        fn parsed<T: std::str::FromStr>(&self) -> Result<T, Fault> {
            self.0.parse().map_err(|_| Fault::Unnamed)
        }

        fn json(&self) -> Result<serde_json::Value, Fault> {
            serde_json::from_str(self.0).map_err(|_| Fault::Unnamed)
        }
    }

    /// Deserializes as parsed text, or as parsed JSON.
    macro_rules! by {
        (parsed: $($ask:ident $visit:ident)*) => {$(
            fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                visitor.$visit(self.parsed()?)
            }
        )*};
        (json: $($ask:ident($($arg:ident: $type:ty),*))*) => {$(
            fn $ask<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Fault> {
                self.json()?.$ask($($arg,)* visitor).map_err(|_| Fault::Unnamed)
            }
        )*};
    }

    impl<'de> Deserializer<'de> for Text<'_> {
        type Error = Fault;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_str(self.0)
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_some(self)
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, Fault> {
            visitor.visit_newtype_struct(self)
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            _: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Fault> {
            let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
            visitor.visit_enum(name)
        }

        by! { parsed:
            deserialize_bool visit_bool
            deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32 deserialize_i64 visit_i64
            deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32 deserialize_u64 visit_u64
            deserialize_i128 visit_i128 deserialize_u128 visit_u128
            deserialize_f32 visit_f32 deserialize_f64 visit_f64 deserialize_char visit_char
        }

        by! { json:
            deserialize_seq() deserialize_map()
            deserialize_tuple(len: usize)
            deserialize_tuple_struct(name: &'static str, len: usize)
            deserialize_struct(name: &'static str, fields: &'static [&'static str])
        }

        forward_to_deserialize_any! { str string bytes byte_buf unit unit_struct identifier ignored_any }
    }
}
