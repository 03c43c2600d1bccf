//! `#[derive(Variables)]` for [strongroom](https://docs.rs/strongroom), which has it under its feature `derive`.
//!
//! A field is one variable:
//!
//! - its name is the field's in capitals, `PORT` for `port`, unless `#[variable(name = "...")]` says another;
//! - its format is that of the type (`integer` for `u16`, `string` for `String` and `Secret`), unless
//!   `#[variable(format = VarFormat::Url)]` says another, with any expression in which `?` takes errors of the engine;
//! - its description is the doc comment;
//! - a `Secret` makes it encrypted, and an `Option` optional;
//! - `#[variable(default = "8080")]` gives it a default, and `#[variable(scopes = Scopes::only(ScopeKind::Org))]` the
//!   scopes at which a value is allowed.

use heck::ToShoutySnakeCase as _;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Lit, LitStr, Meta, parse_macro_input,
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
                ::core::result::Result::Ok(::std::vec![#(#definitions),*])
            }

            fn read(
                run: &::strongroom::Resolution,
            ) -> ::core::result::Result<Self, ::strongroom::ReadError> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }
        }
    })
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
        let name =
            field.ident.as_ref().map(|ident| ident.to_string().to_shouty_snake_case()).unwrap_or_default();
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
        Ok(variable)
    }

    fn definition(&self) -> TokenStream {
        let (name, kind) = (&self.name, &self.field.ty);
        let format = match &self.format {
            Some(format) => quote! { #format },
            None => quote! { <#kind as ::strongroom::Variable>::format() },
        };
        let description = self.description.as_ref().map(|text| quote! { .description(#text) });
        let default = self.default.as_ref().map(|text| quote! { .default_value(#text) });
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

/// The doc comment on one line.
fn description(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}
