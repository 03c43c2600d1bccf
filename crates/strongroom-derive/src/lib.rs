//! `#[derive(Variables)]` for [strongroom](https://docs.rs/strongroom), which has it under its feature `derive`.
//!
//! A field is one variable:
//!
//! - its name is the field's in capitals, `PORT` for `port` and `TYPE` for `r#type`, unless
//!   `#[variable(name = "...")]` says another; no two fields have one name;
//! - its format is that of the type (`integer` for `u16`, `string` for `String` and `Secret`, `bytes` for
//!   `SecretBytes`), unless `#[variable(format = VarFormat::Url)]` says another, with any expression in which `?` takes
//!   errors of the engine;
//! - its description is the doc comment;
//! - a `Secret` or `SecretBytes` makes it encrypted, and an `Option` optional;
//! - `#[variable(default = "8080")]` gives it a default, and `#[variable(scopes = Scopes::only(ScopeKind::Org))]` the
//!   scopes at which a value is allowed.
//!
//! A default that does not parse as the type of its field does not compile, where the type is one of the standard
//! library's and goes by its own name; where it is an alias or a type of the host's, it is an error of `definitions()`
//! that names the variable, as is anything else that the engine would refuse, such as a default that does not match a
//! format. A value that does not fit the type is an error of `read()`, so before a service works with any of them: the
//! format of a `u16` is `integer`, which takes 70000.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heck::ToShoutySnakeCase as _;
use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, GenericArgument, Lit, LitStr, Meta,
    PathArguments, Type, parse_macro_input,
};

/// Implements `strongroom::Variables`: the definitions of a service's variables, and reading what a run sees.
#[proc_macro_derive(Variables, attributes(variable))]
pub fn variables(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    implementation(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn implementation(input: &DeriveInput) -> Result<TokenStream, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "variables are the fields of a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(&input.ident, "variables are fields with names"));
    };
    let variables: Vec<Variable<'_>> = fields.named.iter().map(Variable::of).collect::<Result<_, _>>()?;
    refuse_twins(&variables)?;
    let definitions = variables.iter().map(Variable::definition);
    let reads = variables.iter().map(Variable::read);
    let (name, (impl_generics, type_generics, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::strongroom::Variables for #name #type_generics #bounds {
            fn definitions() -> ::core::result::Result<
                ::std::vec::Vec<::strongroom::VariableDefinition>,
                ::strongroom::Error,
            > {
                let definitions = ::std::vec![#(#definitions),*];
                definitions.iter().try_for_each(::strongroom::VariableDefinition::check)?;
                ::core::result::Result::Ok(definitions)
            }

            fn read(
                run: &::strongroom::Resolution,
            ) -> ::core::result::Result<Self, ::strongroom::ReadError> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }
        }
    })
}

/// Two fields of one name would read one value, and the engine refuses two definitions of it.
fn refuse_twins(variables: &[Variable<'_>]) -> Result<(), Error> {
    let mut names = HashSet::new();
    match variables.iter().find(|variable| !names.insert(variable.name.as_str())) {
        Some(Variable { field, name, .. }) => {
            Err(Error::new_spanned(&field.ident, format!("another field is the variable `{name}` too")))
        }
        None => Ok(()),
    }
}

/// A field, and what its attributes say.
struct Variable<'f> {
    field: &'f Field,
    name: String,
    description: Option<String>,
    format: Option<Expr>,
    default: Option<LitStr>,
    scopes: Option<Expr>,
}

impl<'f> Variable<'f> {
    fn of(field: &'f Field) -> Result<Self, Error> {
        let name = field
            .ident
            .as_ref()
            .map(|ident| ident.unraw().to_string().to_shouty_snake_case())
            .unwrap_or_default();
        let description = description(&field.attrs);
        let mut variable = Self { field, name, description, format: None, default: None, scopes: None };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("variable")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    variable.name = meta.value()?.parse::<LitStr>()?.value();
                } else if meta.path.is_ident("format") {
                    variable.format = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("default") {
                    variable.default = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("scopes") {
                    variable.scopes = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected `name`, `format`, `default` or `scopes`"));
                }
                Ok(())
            })?;
        }
        if let Some(default) = &variable.default {
            check_default(default, &field.ty)?;
        }
        Ok(variable)
    }

    fn definition(&self) -> TokenStream {
        let (name, kind) = (&self.name, &self.field.ty);
        let format = match &self.format {
            Some(format) => quote! { #format },
            None => quote! { <#kind as ::strongroom::Variable>::format() },
        };
        let description = self.description.as_ref().map(|text| quote! { .description(#text) });
        // Checked here too: only the compiler knows which type an alias or a type of the host's stands for.
        let default = self.default.as_ref().map(|text| quote! { .default_read_as::<#kind>(#text)? });
        let scopes = self.scopes.as_ref().map(|scopes| quote! { .scopes(#scopes) });
        quote! {
            ::strongroom::VariableDefinition::read_as::<#kind>(#name, #format)? #description #default #scopes
        }
    }

    fn read(&self) -> TokenStream {
        let (field, name, kind) = (&self.field.ident, &self.name, &self.field.ty);
        quote! { #field: <#kind as ::strongroom::Variable>::read(run.get(#name), #name)? }
    }
}

/// Refuses a default that does not parse as `kind`, as far as its name tells which type that is.
fn check_default(default: &LitStr, kind: &Type) -> Result<(), Error> {
    let Type::Path(path) = kind else { return Ok(()) };
    let Some(last) = path.path.segments.last() else { return Ok(()) };
    let (text, name) = (default.value(), last.ident.to_string());
    let parses = match name.as_str() {
        "Option" => {
            let PathArguments::AngleBracketed(of) = &last.arguments else { return Ok(()) };
            let Some(GenericArgument::Type(kind)) = of.args.first() else { return Ok(()) };
            return check_default(default, kind);
        }
        "Secret" => return Err(Error::new_spanned(default, "a `Secret` is encrypted, and has no default")),
        "bool" => text.parse::<bool>().is_ok(),
        "i8" => text.parse::<i8>().is_ok(),
        "i16" => text.parse::<i16>().is_ok(),
        "i32" => text.parse::<i32>().is_ok(),
        "i64" => text.parse::<i64>().is_ok(),
        "i128" => text.parse::<i128>().is_ok(),
        "u8" => text.parse::<u8>().is_ok(),
        "u16" => text.parse::<u16>().is_ok(),
        "u32" => text.parse::<u32>().is_ok(),
        "u64" => text.parse::<u64>().is_ok(),
        "u128" => text.parse::<u128>().is_ok(),
        "f32" => text.parse::<f32>().is_ok(),
        "f64" => text.parse::<f64>().is_ok(),
        "IpAddr" => text.parse::<IpAddr>().is_ok(),
        "Ipv4Addr" => text.parse::<Ipv4Addr>().is_ok(),
        "Ipv6Addr" => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    };
    if parses {
        return Ok(());
    }
    Err(Error::new_spanned(default, format!("the default does not parse as a `{name}`")))
}

/// The doc comment on one line.
fn description(attributes: &[Attribute]) -> Option<String> {
    let comments = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = comments.flat_map(|comment| lines(&comment)).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

/// The lines of a comment that say something, without the star in front of the later ones of a block comment.
fn lines(comment: &str) -> Vec<String> {
    let lines = comment.lines().map(str::trim).enumerate().map(|(at, line)| match line.strip_prefix('*') {
        Some(rest) if at > 0 && (rest.is_empty() || rest.starts_with(' ')) => rest.trim_start(),
        _ => line,
    });
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fields_of_one_name_do_not_compile() {
        let refusal = |fields: &str| {
            let fields = format!("struct Env {{ {fields} }}");
            implementation(&syn::parse_str(&fields).unwrap()).err().map(|error| error.to_string())
        };
        for twins in ["a_b: u8, _a_b: u8", "a: u8, #[variable(name = \"A\")] b: u8", "r#type: u8, type_: u8"]
        {
            assert!(refusal(twins).unwrap().contains("another field is the variable"), "{twins}");
        }
        assert_eq!(refusal("a: u8, #[variable(name = \"a\")] b: u8"), None);
    }

    #[test]
    fn a_default_that_does_not_parse_as_its_type_does_not_compile() {
        let refusal = |kind: &str, default: &str| {
            let field = format!("struct Env {{ #[variable(default = \"{default}\")] field: {kind} }}");
            implementation(&syn::parse_str(&field).unwrap()).err().map(|error| error.to_string())
        };
        for (kind, default) in [("u16", "8080"), ("Option<bool>", "true"), ("std::net::IpAddr", "::1")] {
            assert_eq!(refusal(kind, default), None, "{kind}");
        }
        // Types whose names say nothing are left to `definitions()`.
        for kind in ["String", "Port", "Option<Port>"] {
            assert_eq!(refusal(kind, "anything"), None, "{kind}");
        }
        for (kind, default) in [("u16", "70000"), ("Option<u16>", "http"), ("f64", "a"), ("Ipv4Addr", "::1")]
        {
            assert!(refusal(kind, default).unwrap().starts_with("the default does not parse"), "{kind}");
        }
        assert!(refusal("Option<Secret>", "hunter2").unwrap().contains("no default"));
    }
}
