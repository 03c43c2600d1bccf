//! The display of a plan: a table or JSON, without any value.

use serde::Serialize;

use super::plan::{Action, Plan, Row};
use crate::failure::Failure;
use crate::output::{MASK, Output, yes};

const HEADERS: [&str; 7] = ["ACTION", "NAME", "FORMAT", "ENCRYPTED", "NEW", "VALUE", "REASON"];

#[derive(Serialize)]
struct PlanView<'a> {
    dry_run: bool,
    scope: &'static str,
    create: usize,
    update: usize,
    unchanged: usize,
    invalid: usize,
    variables: Vec<RowView<'a>>,
}

#[derive(Serialize)]
struct RowView<'a> {
    name: &'a str,
    action: &'static str,
    var_format: Option<&'a str>,
    encrypted: Option<bool>,
    defines: bool,
    value: &'static str,
    /// Why it cannot be set.
    reason: Option<&'a str>,
    /// Why it is defined this way.
    why: Option<&'static str>,
}

impl Plan {
    /// Shows people what is about to be done.
    pub(in crate::commands) fn preview(&self, output: &Output) -> Result<(), Failure> {
        if output.is_json() {
            return Ok(());
        }
        let view = PlanView::of(self, false);
        // Not held back with later output, since a question is asked about it.
        Output::new(false).list(HEADERS, view.variables.iter().map(RowView::cells), &view)
    }

    pub(in crate::commands) fn report(&self, dry_run: bool, output: &Output) -> Result<(), Failure> {
        let view = PlanView::of(self, dry_run);
        output.list(HEADERS, view.variables.iter().map(RowView::cells), &view)?;
        if output.is_json() {
            return Ok(());
        }
        let PlanView { create, update, unchanged, invalid, .. } = view;
        let end = if dry_run { "; nothing was written" } else { "" };
        output.text(&format!(
            "{create} create, {update} update, {unchanged} unchanged, {invalid} invalid{end}\n"
        ))
    }
}

impl<'a> PlanView<'a> {
    fn of(plan: &'a Plan, dry_run: bool) -> Self {
        Self {
            dry_run,
            scope: plan.scope.kind().as_str(),
            create: plan.count("create"),
            update: plan.count("update"),
            unchanged: plan.count("unchanged"),
            invalid: plan.count("invalid"),
            variables: plan.rows.iter().map(RowView::of).collect(),
        }
    }
}

impl<'a> RowView<'a> {
    fn of(row: &'a Row) -> Self {
        let definition = row.definition.as_ref();
        Self {
            name: &row.name,
            action: row.action.as_str(),
            var_format: definition.map(|definition| definition.var_format.name()),
            encrypted: definition.map(|definition| definition.encrypted),
            defines: row.is_new,
            value: MASK,
            reason: match &row.action {
                Action::Invalid(reason) => Some(reason),
                Action::Create | Action::Update | Action::Unchanged => None,
            },
            why: row.why,
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.action.to_owned(),
            self.name.to_owned(),
            self.var_format.unwrap_or_default().to_owned(),
            yes(self.encrypted == Some(true)),
            yes(self.defines),
            self.value.to_owned(),
            self.reason.or(self.why).unwrap_or_default().to_owned(),
        ]
    }
}
