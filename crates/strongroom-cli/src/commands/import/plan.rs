//! What an import, a copy or an edit would write, and writing it.

use std::collections::{HashMap, HashSet};

use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionId, DefinitionName, Error, Expected, NewValue, Org, Scope, ScopedValue, Secret,
    StoredDefinition, VariableDefinition,
};

use strongroom_http::control::{self, Batch, BatchDone, BatchValue};

use super::Unknown;
use super::infer::Proposal;
use super::source::Entry;
use crate::client::docs::new_definition;
use crate::client::{Call, Client};
use crate::failure::{Exit, Failure};
use crate::output::counted;
use crate::pages;
use crate::progress::Progress;
use crate::scope_args::scope_field;

/// What to write, one row for each name.
#[derive(Debug)]
pub(in crate::commands) struct Plan {
    pub(super) scope: Scope,
    pub(super) rows: Vec<Row>,
    /// The other names with a value there, which stay as they are.
    pub(super) left: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) action: Action,
    /// The definition that the name has, or will have.
    pub(super) definition: Option<VariableDefinition>,
    /// Whether the import defines it.
    pub(super) is_new: bool,
    /// Why it is defined this way.
    pub(super) why: Option<&'static str>,
    /// Its line in a `.env` file.
    line: Option<usize>,
    value: Secret,
    expected: Expected,
    /// The same for a server: empty for a value that must not exist, `None` for any.
    version: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Update,
    Unchanged,
    /// Why it cannot be set.
    Invalid(String),
}

impl Action {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Unchanged => "unchanged",
            Self::Invalid(_) => "invalid",
        }
    }
}

impl Plan {
    /// Compares the entries with the values at `scope`. Nothing is written.
    pub(in crate::commands) async fn of(
        org: &Org,
        scope: Scope,
        entries: Vec<Entry>,
        unknown: &Unknown,
    ) -> Result<Self, Failure> {
        let definitions = pages::definitions(org).await?;
        let definitions: HashMap<&str, &StoredDefinition> =
            definitions.iter().map(|stored| (stored.definition.name.as_str(), stored)).collect();
        let values: HashMap<DefinitionId, ScopedValue> =
            pages::values(org, &scope).await?.into_iter().map(|value| (value.definition_id, value)).collect();
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            let stored = definitions.get(entry.name.as_str());
            let Entry { name, value, is_bytes, line, .. } =
                entry.for_format(stored.map(|stored| &stored.definition.var_format));
            let row = match (value.and_then(|value| fit(&name, value)), stored) {
                (Err(reason), _) => Row::invalid(name, reason),
                (Ok(value), Some(stored)) => {
                    let existing = values.get(&stored.id);
                    Row::of_known(org, &scope, stored, existing, value).await?
                }
                (Ok(value), None) => Row::of_unknown(name, value, is_bytes, unknown),
            };
            rows.push(row.at(line));
        }
        refuse_too_many(definitions.len(), &rows)?;
        let holding = definitions.values().filter(|stored| values.contains_key(&stored.id));
        let left = left_by(&rows, holding.map(|stored| stored.definition.name.clone()));
        Ok(Self { scope, rows, left })
    }

    /// Identifies the values that are replaced, as opposed to others and to changed ones.
    pub(in crate::commands) fn replaced(&self) -> String {
        let replaced = self.rows.iter().filter(|row| row.action == Action::Update);
        replaced.map(|row| format!("{} {:?} {:?}\n", row.name, row.expected, row.version)).collect()
    }

    /// The names that are defined this way.
    pub(super) fn new_names(
        &self,
        is_one: impl Fn(&VariableDefinition) -> bool,
    ) -> impl Iterator<Item = &str> {
        let is_one = move |row: &&Row| row.is_new && row.definition.as_ref().is_some_and(&is_one);
        self.rows.iter().filter(is_one).map(|row| row.name.as_str())
    }

    /// A plan that does nothing.
    pub(in crate::commands) fn nothing(scope: &Scope) -> Self {
        Self { scope: scope.clone(), rows: Vec::new(), left: Vec::new() }
    }

    /// The same, on the condition that each value has the version that was read, and that values without one do not
    /// exist.
    pub(in crate::commands) fn over(mut self, versions: &HashMap<String, String>) -> Self {
        for row in self.rows.iter_mut().filter(|row| row.action == Action::Update) {
            let version = versions.get(&row.name).cloned();
            if version.is_none() {
                row.action = Action::Create;
            }
            row.version = Some(version.unwrap_or_default());
        }
        self
    }

    /// A plan that does not know the values of the server: values that exist there are updated.
    pub(in crate::commands) fn for_server(
        scope: &Scope,
        entries: Vec<Entry>,
        known: &[String],
        unknown: &Unknown,
    ) -> Result<Self, Failure> {
        let row = |Entry { name, value, is_bytes, line, .. }: Entry| {
            let row = match value.and_then(|value| fit(&name, value)) {
                Err(reason) => Row::invalid(name, reason),
                Ok(value) if known.contains(&name) => Row {
                    name,
                    action: Action::Update,
                    definition: None,
                    is_new: false,
                    why: None,
                    line: None,
                    value,
                    expected: Expected::Any,
                    version: None,
                },
                Ok(value) => Row::of_unknown(name, value, is_bytes, unknown),
            };
            row.at(line)
        };
        let rows: Vec<_> = entries.into_iter().map(row).collect();
        refuse_too_many(known.len(), &rows)?;
        Ok(Self { scope: scope.clone(), rows, left: Vec::new() })
    }

    /// The same as one control call.
    pub(in crate::commands) fn batch(&self, dry_run: bool) -> Batch {
        let id_in = |field| scope_field(&self.scope).filter(|(named, _)| *named == field);
        let id_in = |field| id_in(field).map(|(_, id)| id.to_owned());
        let new = self.rows.iter().filter(|row| row.is_new).filter_map(|row| row.definition.as_ref());
        Batch {
            linked_account_id: id_in("linked_account_id"),
            workflow_id: id_in("workflow_id"),
            definitions: new.map(new_definition).collect(),
            values: self.writes().into_iter().map(Row::batch_value).collect(),
            // A row with the version that was read has been compared with that version.
            compare: self.writes().iter().any(|row| row.version.is_none()),
            dry_run,
        }
    }

    /// Lets the server check the plan without writing: it knows what already exists, and what breaks a rule. Returns
    /// how many values the key could not have compared. A plan that is already invalid is not sent.
    pub(in crate::commands) fn try_on(&mut self, client: &Client) -> Result<usize, Failure> {
        if self.count("invalid") > 0 {
            return Ok(0);
        }
        let tried: BatchDone = client.control_post(&["values"], &self.batch(true))?;
        for refused in &tried.refused {
            for row in self.rows.iter_mut().filter(|row| row.name == refused.name) {
                row.action = Action::Invalid(refused.reason.clone());
                row.name_line();
            }
        }
        self.leave_alone(&tried.unchanged);
        // A key that may write need not be allowed to read.
        let query: Vec<_> = scope_field(&self.scope).into_iter().collect();
        let held = client.control_items::<control::Value>(Call { path: &["values"], query: &query });
        self.left = left_by(&self.rows, held.unwrap_or_default().into_iter().map(|held| held.name));
        Ok(tried.uncompared)
    }

    /// Writes everything that differs to a server: all of it or none.
    pub(in crate::commands) fn apply_on(&self, client: &Client) -> Result<(), Failure> {
        if self.writes().is_empty() {
            return Ok(());
        }
        let done: BatchDone = client.control_post(&["values"], &self.batch(false))?;
        match done.refused.first() {
            // What was tried before was changed meanwhile.
            Some(first) => Err(Failure::invalid(format!("{}: {}", first.name, first.reason))
                .next("nothing was written; run the command again")),
            None => Ok(()),
        }
    }

    /// Whether some of it was there already, as after an earlier import.
    pub(super) fn is_repeated(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.action, Action::Update | Action::Unchanged))
    }

    /// Marks values with these names as unchanged: the server has compared them.
    fn leave_alone(&mut self, names: &[String]) {
        for row in self.rows.iter_mut().filter(|row| names.contains(&row.name)) {
            row.action = Action::Unchanged;
        }
    }

    pub(in crate::commands) fn count(&self, action: &str) -> usize {
        self.rows.iter().filter(|row| row.action.as_str() == action).count()
    }

    /// Writes everything that differs: all of it or none.
    pub(in crate::commands) async fn apply(&self, org: &Org) -> Result<(), Failure> {
        let writes = self.writes();
        self.apply_rows(org, &writes).await.map_err(|error| match is_too_large(&error) {
            true => too_large(),
            false => error.into(),
        })
    }

    /// Writes everything that differs, a part at a time. What was written stays if a later part fails.
    pub(in crate::commands) async fn apply_in_parts(&self, org: &Org) -> Result<(), Failure> {
        let writes = self.writes();
        let progress = Progress::new(writes.len());
        let mut parts: Vec<&[&Row]> = writes.chunks(PART_ROWS).rev().collect();
        let mut done = 0;
        while let Some(part) = parts.pop() {
            match self.apply_rows(org, part).await {
                Ok(()) => {
                    done += part.len();
                    progress.advance(part.len());
                }
                Err(error) if is_too_large(&error) && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    return Err(
                        failure.next(format!("{done} were written; run the same command again for the rest"))
                    );
                }
            }
        }
        Ok(())
    }

    /// Why each of those that cannot be set is refused.
    pub(in crate::commands) fn refusals(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(|row| match &row.action {
            Action::Invalid(reason) => Some(format!("{}: {reason}", row.name)),
            Action::Create | Action::Update | Action::Unchanged => None,
        })
    }

    fn writes(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| matches!(row.action, Action::Create | Action::Update)).collect()
    }

    /// Defines what is new and sets all values, in one batch.
    async fn apply_rows(&self, org: &Org, rows: &[&Row]) -> Result<(), Error> {
        let new = rows.iter().filter(|row| row.is_new).filter_map(|row| row.definition.clone());
        let new: Vec<_> = new.collect();
        let values: Vec<_> = rows
            .iter()
            .map(|row| {
                let value = NewValue::new(&row.name, &self.scope, row.value.expose());
                value.expecting(row.expected)
            })
            .collect();
        org.define_and_set(&new, &values).await.map(|_| ())
    }
}

/// Those of the names with a value that no row has, in order.
fn left_by(rows: &[Row], holding: impl Iterator<Item = String>) -> Vec<String> {
    let named: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut left: Vec<_> = holding.filter(|name| !named.contains(name.as_str())).collect();
    left.sort_unstable();
    left
}

impl Row {
    fn batch_value(&self) -> BatchValue {
        let value = self.value.expose().to_owned().into();
        BatchValue { name: self.name.clone(), value, version: self.version.clone() }
    }

    async fn of_known(
        org: &Org,
        scope: &Scope,
        stored: &StoredDefinition,
        existing: Option<&ScopedValue>,
        value: Secret,
    ) -> Result<Self, Failure> {
        let action = match (org.validate(stored.id, scope, value.expose()).await, existing) {
            (Err(Error::InvalidValue { rule, .. }), _) => Action::Invalid(rule.to_string()),
            (Err(Error::ScopeNotAllowed { scope, .. }), _) => {
                Action::Invalid(format!("no value is allowed at {scope} scope"))
            }
            (Err(error @ Error::TooLong { .. }), _) => Action::Invalid(error.to_string()),
            (Err(error), _) => return Err(error.into()),
            (Ok(()), None) => Action::Create,
            (Ok(()), Some(found)) if found.value.expose() == value.expose() => Action::Unchanged,
            (Ok(()), Some(_)) => Action::Update,
        };
        Ok(Self {
            name: stored.definition.name.clone(),
            action,
            definition: Some(stored.definition.clone()),
            is_new: false,
            why: None,
            line: None,
            value,
            expected: existing.map_or(Expected::Absent, |found| Expected::Revision(found.revision)),
            version: None,
        })
    }

    fn at(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self.name_line();
        self
    }

    /// Names the line of a value that cannot be set.
    fn name_line(&mut self) {
        if let (Action::Invalid(reason), Some(line)) = (&mut self.action, self.line) {
            *reason = format!("line {line}: {reason}");
        }
    }

    fn of_unknown(name: String, value: Secret, is_bytes: bool, unknown: &Unknown) -> Self {
        if let Err(error) = name.parse::<DefinitionName>() {
            return Self::invalid(name, error.to_string());
        }
        if value.len() > strongroom::format::VALUE_BYTES_MAX {
            let message = format!("a value must be at most {} bytes", strongroom::format::VALUE_BYTES_MAX);
            return Self::invalid(name, message);
        }
        let (definition, why) = match unknown {
            Unknown::Refuse => return Self::invalid(name, "it is not defined"),
            Unknown::Define(how) => {
                let Proposal { definition, why } = how.propose(&name, value.expose(), is_bytes);
                (definition, Some(why))
            }
            Unknown::DefineAs(known) => match known.get(&name) {
                Some(definition) => (definition.clone(), None),
                None => return Self::invalid(name, "it is not defined"),
            },
        };
        Self {
            name,
            action: Action::Create,
            definition: Some(definition),
            is_new: true,
            why,
            line: None,
            value,
            expected: Expected::Absent,
            version: Some(String::new()),
        }
    }

    fn invalid(name: String, reason: impl Into<String>) -> Self {
        let action = Action::Invalid(reason.into());
        Self {
            name,
            action,
            definition: None,
            is_new: false,
            why: None,
            line: None,
            value: Secret::from(""),
            expected: Expected::Any,
            version: None,
        }
    }
}

/// Fails if there would be more definitions than an environment has room for, before any part is written.
fn refuse_too_many(known: usize, rows: &[Row]) -> Result<(), Failure> {
    let (new, max) = (rows.iter().filter(|row| row.is_new).count(), DEFINITIONS_MAX);
    if new == 0 || known + new <= max {
        return Ok(());
    }
    let names = counted(known + new, "name");
    Err(Failure::invalid(format!("there would be {names}, {max} are allowed in an environment")).next(
        format!("nothing was written; {known} are defined and {new} are new: leave some out, or delete some"),
    ))
}

/// Fails for a name or a value that no environment can hold: it would stop every `run` that resolves it.
fn fit(name: &str, value: Secret) -> Result<Secret, &'static str> {
    if name.contains('=') {
        return Err("an environment variable cannot have `=` in its name");
    }
    if value.expose().contains('\0') {
        return Err("no environment can hold a value with a NUL");
    }
    Ok(value)
}

fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::Store(store) if store.kind() == StoreErrorKind::TooLarge)
}

fn too_large() -> Failure {
    Failure::new(Exit::Store, "this is more than the store takes in one batch; nothing was written")
        .next("set fewer at once; `import --in-parts` sets one part after the other")
}

/// The most definitions of one environment; no host allows more.
const DEFINITIONS_MAX: usize = 1_000;
/// With five operations for a value and its definition, small enough for every backend with the limits of an embedded
/// one.
const PART_ROWS: usize = 100;
