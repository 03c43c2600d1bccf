//! Variables × scopes.

use serde::{Deserialize, Serialize};
use strongroom::ScopeKind;
use utoipa::ToSchema;

use super::opaque;

/// Variables as rows, the org and linked accounts as columns: what is set where, what overrides what, and what is
/// missing.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Matrix {
    /// The columns: the org first, then linked accounts.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<MatrixRow>,
    /// The `after` of the next rows; `null` at the end.
    pub next: Option<String>,
    /// The `columns_after` of the next accounts; `null` at the end.
    pub next_columns: Option<String>,
    /// Why each definition of these rows that cannot be read has no row. Left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// One column.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// `org` or `linked_account`.
    #[schema(value_type = String)]
    pub scope: ScopeKind,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One variable.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MatrixRow {
    /// The id of its definition.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its format.
    pub var_format: String,
    /// Whether values are shown only with the right `reveal`.
    pub encrypted: bool,
    /// Whether it must have a value.
    pub required: bool,
    /// The scopes at which it allows values.
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<ScopeKind>,
    /// One cell for each column, in their order.
    pub cells: Vec<Cell>,
}

/// What a run at the column's scope sees of the row's variable.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Cell {
    /// Where the value comes from.
    pub state: EntryState,
    /// The value, cut to 64 characters, unless it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The scopes that it overrides: `org`, `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
}

/// Where the value of a cell comes from.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// It is set at this scope.
    Set,
    /// It is inherited from the org.
    Inherited,
    /// It is the definition's default.
    Default,
    /// There is none, but one is required.
    Missing,
    /// There is none.
    None,
    /// A row that decides it cannot be read.
    Unreadable,
}

opaque!(Matrix, Column, MatrixRow, Cell);

impl std::fmt::Debug for EntryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Set => "Set",
            Self::Inherited => "Inherited",
            Self::Default => "Default",
            Self::Missing => "Missing",
            Self::None => "None",
            Self::Unreadable => "Unreadable",
        })
    }
}
