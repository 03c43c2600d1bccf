//! `inject`: a template filled with the values that a run sees.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom::{DefinitionName, Org, VariableDefinition};
use strongroom_http::control::{Reason, Trace};
use zeroize::Zeroizing;

use crate::client::{Call, Client};
use crate::config::Project;
use crate::failure::{Failure, repeatable, word};
use crate::files;
use crate::output::{Output, counted};
use crate::scope_args::RunArgs;
use crate::seen::{AllSeen, Seen, warn_missing};
use crate::typo::closest;

/// `inject` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Inject {
    /// The template, in which `{{ NAME }}` stands for a value, in base64 if its format is `bytes`; `-` is standard
    /// input. For a `{{` of the file itself, use a variable whose value is `{{`: values are inserted as they are
    template: PathBuf,
    #[command(flatten)]
    args: RunArgs,
    /// Write to this new file, which only its owner can read, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Agree that the values are shown; required to fill in anything. A server notes that in the audit, the store
    /// itself does not
    #[arg(long, required = true)]
    reveal: bool,
}

#[derive(Serialize)]
struct Written {
    file: String,
    variables: usize,
}

impl Inject {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.args.fill_in(project);
    }

    /// The text of the template.
    pub(crate) fn read(&self) -> Result<String, Failure> {
        read(&self.template)
    }

    pub(crate) async fn run(self, template: &str, org: &Org, output: &Output) -> Result<(), Failure> {
        let parts = parse(template)?;
        let seen = AllSeen::of(org, &self.args).await?;
        warn_missing(&seen.missing_required, output);
        self.write(&parts, &seen.values, &[], output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        files::refuse_taken(self.output.as_deref())?;
        let template = self.read()?;
        let parts = parse(&template)?;
        // As far as the key may know them.
        let definitions = client.definitions().unwrap_or_default();
        warn_missing(&self.missing_required(client, &definitions), output);
        let mut values = Vec::new();
        // Only the names in the template, since each value that is shown is noted.
        for name in names(&parts) {
            match AllSeen::on_server(client, &self.args, &[name]) {
                Ok(seen) => values.extend(seen.values),
                // The position in the template says more.
                Err(failure) if failure.is(Reason::DefinitionNotFound) => {}
                Err(failure) => return Err(failure),
            }
        }
        let known = definitions.iter().filter_map(|one| self.args.name_in_run(&one.name).map(str::to_owned));
        let known: Vec<_> = known.collect();
        self.write(&parts, &values, &known, output)
    }

    /// The required variables without a value, found without reading one.
    fn missing_required(&self, client: &Client, definitions: &[VariableDefinition]) -> Vec<String> {
        let query = self.args.path.query();
        let is_missing = |name: &String| {
            let call = Call { path: &["explain", name.as_str()], query: &query };
            let is_nowhere = |trace: Trace| {
                trace.scope.is_none() && trace.steps.iter().all(|step| step.unreadable.is_none())
            };
            client.control_get(call).is_ok_and(is_nowhere)
        };
        let required = definitions.iter().filter(|one| one.required).map(|one| one.name.clone());
        required.filter(|name| self.args.name_in_run(name).is_some()).filter(is_missing).collect()
    }

    /// `known` are further names that a template may have meant, besides those of the values.
    fn write(
        &self,
        parts: &[Part<'_>],
        values: &[Seen],
        known: &[String],
        output: &Output,
    ) -> Result<(), Failure> {
        let values: HashMap<&str, &str> =
            values.iter().map(|one| (one.name.as_str(), one.value.expose())).collect();
        let filled = fill(parts, &values, known)?;
        let Some(file) = &self.output else { return output.file(&filled) };
        files::write_new(file, &filled)?;
        let variables = parts.iter().filter(|part| matches!(part, Part::Name { .. })).count();
        let file = file.display().to_string();
        output.done(&format!("{} in {file}", counted(variables, "value")), &Written { file, variables })
    }
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Name { name: &'t str, line: usize },
}

impl<'t> Part<'t> {
    fn name(&self) -> Option<&'t str> {
        match self {
            Self::Text(_) => None,
            Self::Name { name, .. } => Some(name),
        }
    }
}

/// The text between `{{` and `}}` on one line, if it is a name; other braces belong to the file's own language.
fn parse(template: &str) -> Result<Vec<Part<'_>>, Failure> {
    let (mut parts, mut rest, mut line) = (Vec::new(), template, 1);
    while let Some((before, after)) = rest.split_once("{{") {
        line += before.matches('\n').count();
        parts.push(Part::Text(before));
        let Some((inside, after)) = after.split_once("}}") else {
            return Err(Failure::invalid(format!("line {line}: {{{{ is not closed")).next("close it with }}"));
        };
        let name = inside.trim();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(Failure::invalid(format!(
                "line {line}: what is between {{{{ and }}}} is not a name"
            ))
            .next(
                "write {{ NAME }}, with letters, digits, _, - and .; for a {{ of the file itself, a variable whose \
                 value is {{",
            ));
        }
        parts.push(Part::Name { name, line });
        line += inside.matches('\n').count();
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// The names in a template, each once. A text that is not the name of a variable has no value either.
fn names(parts: &[Part<'_>]) -> Vec<DefinitionName> {
    let names: BTreeSet<&str> = parts.iter().filter_map(Part::name).collect();
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

/// The values are inserted as they are: nothing in them is taken for a name.
fn fill(
    parts: &[Part<'_>],
    values: &HashMap<&str, &str>,
    known: &[String],
) -> Result<Zeroizing<String>, Failure> {
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        pieces.push(match part {
            Part::Text(text) => *text,
            Part::Name { name, line } => values.get(name).copied().ok_or_else(|| {
                Failure::not_found(format!("line {line}: {name} has no value that a run would see here"))
                    .next(format!("`strongroom explain {}` shows where it is looked for", word(name)))
                    .meant(closest(name, values.keys().copied().chain(known.iter().map(String::as_str))))
            })?,
        });
    }
    // In one step, so that the buffer never moves and leaves no copy of a secret behind.
    Ok(Zeroizing::new(pieces.concat()))
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = match path == Path::new("-") {
        true => read_bounded(&mut io::stdin().lock()),
        false => File::open(path).and_then(|mut file| read_bounded(&mut file)),
    };
    text.map_err(|error| {
        Failure::usage(format!("{} could not be read: {error}", repeatable::file(path)))
            .next("check the path; `-` is standard input")
    })
}

/// Reads with a limit, since an input such as a device may have no end.
fn read_bounded(from: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > BYTES_MAX {
        true => Err(io::Error::other("it has more than 64 MiB")),
        false => Ok(text),
    }
}

const BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_the_file_itself_are_the_value_of_a_variable() {
        let values = HashMap::from([("OPEN", "{{")]);
        let filled = |text: &'static str| parse(text).and_then(|parts| fill(&parts, &values, &[]));
        assert_eq!(filled("{{ OPEN }} .Values.x }}").unwrap().as_str(), "{{ .Values.x }}");
        let refused = filled("{{ if .Values.x }}").unwrap_err();
        assert!(refused.next.unwrap().contains("a variable whose value is {{"));
    }

    #[test]
    fn a_name_is_filled_in_and_a_value_is_not_read_again() {
        let values = HashMap::from([("A", "{{ B }}"), ("B", "x")]);
        let filled = |text: &str| {
            parse(text).and_then(|parts| fill(&parts, &values, &[])).map(|text| text.to_string())
        };
        assert_eq!(filled("a: {{ A }}\nb: {{B}} {x} }}").unwrap(), "a: {{ B }}\nb: x {x} }}");
        assert_eq!(filled("").unwrap(), "");
        for (text, line) in [("\n{{ C }}", "line 2"), ("{{ A", "line 1"), ("{{\n A }}{{ a b }}", "line 2")] {
            assert!(filled(text).unwrap_err().message.contains(line), "{text}");
        }
    }
}
