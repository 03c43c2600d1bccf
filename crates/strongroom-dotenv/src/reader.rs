//! Files for one reader, in the form that it reads back byte for byte.

use crate::Unwritable;
use crate::entry::is_name;

/// A program that reads `NAME=value` files, each by rules of its own.
///
/// The forms are those that the versions named here and their predecessors of the last years read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// Every other one of these but GitHub Actions: values without quotes, which mean nothing to any of them.
    Every,
    /// The npm package `dotenv`, 16 to 18; older ones end a value at its first line.
    DotenvNode,
    /// `node --env-file`, from Node.js 20 on.
    Node,
    /// The Python package `python-dotenv`, up to 1.2, which expands `${NAME}` unless told not to.
    Python,
    /// `docker run --env-file`, up to 28.
    Docker,
    /// The `env_file` of Docker Compose 2, and its `.env`.
    Compose,
    /// A POSIX shell, bash or zsh that sources the file.
    Shell,
    /// The `EnvironmentFile` of a systemd unit.
    Systemd,
    /// The file that a step of GitHub Actions appends to `$GITHUB_ENV`.
    GithubActions,
}

/// How a value is written.
enum Form {
    /// As it is.
    Bare,
    /// As it is, between two of these.
    Quoted(char),
    /// In double quotes, with a backslash before each of these characters, and `\r` for a carriage return.
    Escaped(&'static str),
    /// In single quotes, which a value's own close and open again.
    ShellQuoted,
    /// On lines of its own, up to a line that it does not contain.
    Lines,
}

impl Reader {
    /// Whether the reader can be given this name and value.
    ///
    /// ```
    /// use strongroom_dotenv::Reader;
    ///
    /// assert!(Reader::Docker.holds("GREETING", "it's \"me\""));
    /// assert!(!Reader::Docker.holds("GREETING", "two\nlines") && Reader::Shell.holds("GREETING", "two\nlines"));
    /// ```
    #[must_use]
    pub fn holds(self, name: &str, value: &str) -> bool {
        self.takes_name(name) && self.form(name, value).is_some()
    }

    /// What the reader cannot be given, to follow the words "it cannot hold".
    #[must_use]
    pub fn limits(self) -> &'static str {
        match self {
            Self::Every => "what needs quotes: more than ASCII letters, digits and _-./:@%+=,",
            Self::DotenvNode => {
                "a value that needs quotes and holds each of ' \" and `, or ends with a backslash"
            }
            Self::Node => "a carriage return, nor a value that needs quotes and holds each of ' \" and `",
            Self::Python => {
                "a ${NAME} that is not expanded, nor a value that needs quotes and ends with a backslash"
            }
            Self::Docker => "a value of several lines, one in a pair of quotes, or one of more than 64 KiB",
            Self::Compose => "a NUL character",
            Self::Shell => "a NUL character, nor a variable that the shell itself sets",
            Self::Systemd => {
                "a control character but tab and line feed, nor a character that Unicode reserves"
            }
            Self::GithubActions => {
                "a carriage return at the end of a value, nor a variable that the runner itself sets"
            }
        }
    }

    fn takes_name(self, name: &str) -> bool {
        let is_identifier =
            is_name(name) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(['.', '-']);
        match self {
            // A name of JavaScript's own, which an object of it loses.
            Self::DotenvNode => is_name(name) && name != "__proto__",
            Self::Node | Self::Python | Self::Docker => is_name(name),
            Self::Compose => is_name(name) && !name.starts_with(|c: char| c.is_ascii_digit()),
            Self::Systemd => is_identifier,
            Self::Every => is_identifier && !SHELL_OWN.contains(&name) && Self::DotenvNode.takes_name(name),
            Self::Shell => is_identifier && !SHELL_OWN.contains(&name),
            Self::GithubActions => is_identifier && !is_runners_own(name),
        }
    }

    /// The first form that the reader takes for exactly this value.
    fn form(self, name: &str, value: &str) -> Option<Form> {
        // No environment can hold it, whatever the file can.
        if value.contains('\0') {
            return None;
        }
        let quoted = |quote| can_stand_between(value, quote).then_some(Form::Quoted(quote));
        let bare = || can_be_bare(value).then_some(Form::Bare);
        let plain = || is_plain(value).then_some(Form::Bare);
        match self {
            Self::Every => plain(),
            Self::DotenvNode => bare()
                .or_else(|| quoted('\''))
                .or_else(|| quoted('`'))
                .or_else(|| has_no_escape(value, &["\\n", "\\r"]).then_some(Form::Escaped(""))),
            // It drops each carriage return before it looks at anything else.
            Self::Node if value.contains('\r') => None,
            Self::Node => ['\'', '`']
                .into_iter()
                .find(|quote| !value.contains(*quote))
                .map(Form::Quoted)
                .or_else(|| (!value.contains('"') && !value.contains("\\n")).then_some(Form::Quoted('"')))
                .or_else(bare),
            Self::Python if expands(value) => None,
            // Before 1.2 a backslash in front of the closing quote hid it, whatever stood before the backslash.
            Self::Python if !value.ends_with('\\') => Some(Form::Escaped("\"\\")),
            Self::Python => bare(),
            Self::Docker => stands_on_a_line(name, value).then_some(Form::Bare),
            Self::Compose => plain().or_else(|| quoted('\'')).or(Some(Form::Escaped("\"\\$"))),
            Self::Shell => plain().or(Some(Form::ShellQuoted)),
            Self::Systemd if !value.chars().all(is_text_to_systemd) => None,
            Self::Systemd => plain().or(Some(Form::Escaped("\"\\$`"))),
            Self::GithubActions => (!value.ends_with('\r')).then_some(Form::Lines),
        }
    }
}

/// The text of a file from which `reader` reads exactly these names and values, in their order.
///
/// Nothing in a value can become a second variable, be expanded or be run. What a variable does by its name, such as
/// `PATH` or `LD_PRELOAD`, is for the caller to judge. The text is as secret as the values.
///
/// # Errors
/// [`Unwritable`] for the first pair that [`Reader::holds`] refuses.
///
/// # Examples
/// ```
/// use strongroom_dotenv::{Reader, write_for};
///
/// let pairs = [("PORT", "8080"), ("GREETING", "it's $5")];
/// assert_eq!(write_for(Reader::Shell, pairs)?, "export PORT=8080\nexport GREETING='it'\\''s $5'\n");
/// assert_eq!(write_for(Reader::Compose, pairs)?, "PORT=8080\nGREETING=\"it's \\$5\"\n");
/// # Ok::<(), strongroom_dotenv::Unwritable>(())
/// ```
pub fn write_for<'a>(
    reader: Reader,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<String, Unwritable> {
    let pairs: Vec<_> = pairs.into_iter().collect();
    // Room for the longest form, so that the buffer never moves and leaves no copy of a secret behind.
    let longest = pairs.iter().map(|(name, value)| name.len() + 4 * value.len() + FORM_BYTES).sum();
    let mut text = String::with_capacity(longest);
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        let form =
            reader.form(name, value).filter(|_| reader.takes_name(name)).ok_or(Unwritable { index })?;
        if reader == Reader::Shell {
            text.push_str("export ");
        }
        text.push_str(name);
        push_value(&mut text, value, &form);
        text.push('\n');
    }
    Ok(text)
}

fn push_value(text: &mut String, value: &str, form: &Form) {
    if let Form::Lines = form {
        return push_lines(text, value);
    }
    text.push('=');
    match form {
        Form::Bare | Form::Lines => text.push_str(value),
        Form::Quoted(quote) => {
            text.push(*quote);
            text.push_str(value);
            text.push(*quote);
        }
        Form::Escaped(special) => {
            text.push('"');
            for c in value.chars() {
                match c {
                    '\r' => text.push_str("\\r"),
                    c if special.contains(c) => text.extend(['\\', c]),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        Form::ShellQuoted => {
            text.push('\'');
            value.split_inclusive('\'').for_each(|part| match part.strip_suffix('\'') {
                Some(part) => text.extend([part, r"'\''"]),
                None => text.push_str(part),
            });
            text.push('\'');
        }
    }
}

fn push_lines(text: &mut String, value: &str) {
    let mut count = 0_usize;
    let mut end = "STRONGROOM".to_owned();
    // Not a part of it either, so that no way of splitting lines finds the end too early.
    while value.contains(&end) {
        count += 1;
        end = format!("STRONGROOM_{count}");
    }
    text.extend(["<<", &end, "\n", value, "\n", &end]);
}

/// Characters that mean nothing to any reader, wherever they stand; zsh expands `=name` at the start of a path.
fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c))
        && !value.starts_with('=')
        && !value.contains(":=")
}

/// One line that neither looks like a quoted value or a comment nor loses its ends.
fn can_be_bare(value: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let breaks = |c: char| c.is_control() || matches!(c, '#' | '\u{2028}' | '\u{2029}');
    !value.is_empty()
        && !value.contains(breaks)
        && !value.starts_with(['\'', '"', '`'])
        && !value.starts_with(is_blank)
        && !value.ends_with(is_blank)
}

/// A backslash in front of the closing quote would hide it from some.
fn can_stand_between(value: &str, quote: char) -> bool {
    !value.contains([quote, '\r']) && !value.ends_with('\\')
}

/// In double quotes, with these sequences as the only escapes, none for a quote or a backslash.
fn has_no_escape(value: &str, escapes: &[&str]) -> bool {
    !value.contains('"') && !value.ends_with('\\') && !escapes.iter().any(|escape| value.contains(escape))
}

/// Whether it may hold a `${NAME}`, which python-dotenv has no way to write.
fn expands(value: &str) -> bool {
    value.split_once("${").is_some_and(|(_, rest)| rest.contains('}'))
}

/// Some versions of docker take a pair of quotes off, and none reads a longer line.
fn stands_on_a_line(name: &str, value: &str) -> bool {
    let is_pair = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    !value.contains('\n')
        && !value.ends_with('\r')
        && !is_pair('"')
        && !is_pair('\'')
        && name.len() + 1 + value.len() < DOCKER_LINE_BYTES_MAX
}

/// Others make systemd drop the variable.
fn is_text_to_systemd(c: char) -> bool {
    let is_control = (c < ' ' && c != '\t' && c != '\n') || c == '\u{7f}';
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    !is_control && !is_noncharacter
}

/// The runner refuses the one and overrides the others.
fn is_runners_own(name: &str) -> bool {
    // It knows no case in the first.
    name.eq_ignore_ascii_case("NODE_OPTIONS")
        || name == "CI"
        || name.starts_with("GITHUB_")
        || name.starts_with("RUNNER_")
}

const FORM_BYTES: usize = 64;
const DOCKER_LINE_BYTES_MAX: usize = 64 * 1024;

/// What a shell sets itself, so that a file cannot: read-only in bash or zsh, computed whenever it is read, a map, or a
/// number or a list in zsh, which takes what is assigned to it as an expression and may run it, cuts it, or stops
/// reading the file.
#[rustfmt::skip]
const SHELL_OWN: &[&str] = &[
    // bash
    "_", "BASHOPTS", "BASHPID", "BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_ARGV0", "BASH_CMDS", "BASH_COMMAND",
    "BASH_LINENO", "BASH_SOURCE", "BASH_SUBSHELL", "BASH_VERSINFO", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID",
    "FUNCNAME", "GROUPS", "HISTCMD", "LINENO", "OPTIND", "PIPESTATUS", "PPID", "RANDOM", "SECONDS", "SHELLOPTS",
    "SRANDOM", "UID",
    // zsh, from its module zsh/parameter
    "ARGC", "COLUMNS", "EGID", "FUNCNEST", "GID", "HISTSIZE", "KEYTIMEOUT", "LINES", "LISTMAX", "MAILCHECK",
    "SAVEHIST", "SHLVL", "TRY_BLOCK_ERROR", "TRY_BLOCK_INTERRUPT", "TTYIDLE", "ZSH_EVAL_CONTEXT", "ZSH_SUBSHELL",
    "aliases", "argv", "builtins", "cdpath", "commands", "dirstack", "dis_aliases", "dis_builtins", "dis_functions",
    "dis_functions_source", "dis_galiases", "dis_patchars", "dis_reswords", "dis_saliases", "fignore", "fpath",
    "funcfiletrace", "funcsourcetrace", "funcstack", "functions", "functions_source", "functrace", "galiases",
    "history", "historywords", "jobdirs", "jobstates", "jobtexts", "keymaps", "mailpath", "manpath", "module_path",
    "modules", "nameddirs", "options", "parameters", "patchars", "path", "pipestatus", "psvar", "reswords",
    "saliases", "signals", "status", "termcap", "terminfo", "userdirs", "usergroups", "watch", "widgets",
    "zsh_eval_context", "zsh_scheduled_events", "ERRNO", "USERNAME", "HISTCHARS", "KEYBOARD_HACK", "WATCH",
    "ZLE_RPROMPT_INDENT", "histchars",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reader: Reader, value: &str) -> Option<String> {
        write_for(reader, [("N", value)]).ok()
    }

    #[test]
    fn value_takes_the_first_form_of_its_reader() {
        assert_eq!(written(Reader::Every, "a/b=").unwrap(), "N=a/b=\n");
        assert_eq!(written(Reader::DotenvNode, "'a' \"b\"").unwrap(), "N=`'a' \"b\"`\n");
        assert_eq!(written(Reader::DotenvNode, "a\r").unwrap(), "N=\"a\\r\"\n");
        assert_eq!(written(Reader::Node, "").unwrap(), "N=''\n");
        assert_eq!(written(Reader::Python, "C:\\\"x").unwrap(), "N=\"C:\\\\\\\"x\"\n");
        assert_eq!(written(Reader::Python, "C:\\").unwrap(), "N=C:\\\n");
        assert_eq!(written(Reader::Docker, " # 'x' ").unwrap(), "N= # 'x' \n");
        assert_eq!(written(Reader::Systemd, "a $b").unwrap(), "N=\"a \\$b\"\n");
        assert_eq!(
            written(Reader::GithubActions, "a\nSTRONGROOM\n").unwrap(),
            "N<<STRONGROOM_1\na\nSTRONGROOM\n\nSTRONGROOM_1\n"
        );
        assert_eq!(
            written(Reader::GithubActions, "a\n STRONGROOM").unwrap(),
            "N<<STRONGROOM_1\na\n STRONGROOM\nSTRONGROOM_1\n"
        );
    }

    #[test]
    fn a_name_that_an_object_of_javascript_loses_is_refused() {
        let holds = |reader: Reader| reader.holds("__proto__", "x");
        assert!(!holds(Reader::DotenvNode) && !holds(Reader::Every) && holds(Reader::Docker));
    }

    #[test]
    fn a_name_whose_value_a_shell_cuts_or_keeps_from_the_environment_is_refused() {
        let names = "BASH_ALIASES BASH_CMDS HISTCHARS KEYBOARD_HACK WATCH ZLE_RPROMPT_INDENT histchars";
        for name in names.split(' ') {
            assert!(!Reader::Shell.holds(name, "plain") && !Reader::Every.holds(name, "plain"), "{name}");
        }
    }

    #[test]
    fn a_line_for_docker_is_as_long_as_its_name_and_value_together() {
        let longest = DOCKER_LINE_BYTES_MAX - "N=\n".len();
        assert!(written(Reader::Docker, &"x".repeat(longest)).is_some());
        assert!(written(Reader::Docker, &"x".repeat(longest + 1)).is_none());
    }

    #[test]
    fn what_a_reader_cannot_hold_is_refused_by_its_place() {
        for (reader, value) in [
            (Reader::Every, "a b"),
            (Reader::Every, "=ls"),
            (Reader::DotenvNode, "'\"`"),
            (Reader::Node, "a\rb"),
            (Reader::Python, "${A}"),
            (Reader::Docker, "a\nB=c"),
            (Reader::Docker, "'a'"),
            (Reader::Compose, "\0"),
            (Reader::Systemd, "\u{1b}"),
            (Reader::GithubActions, "a\r"),
        ] {
            assert!(written(reader, value).is_none(), "{reader:?}");
        }
        assert_eq!(write_for(Reader::Shell, [("A", ""), ("B C", "")]), Err(Unwritable { index: 1 }));
        assert!(!Reader::Shell.holds("UID", "0") && !Reader::GithubActions.holds("Node_Options", "x"));
        assert!(!Reader::Systemd.holds("a.b", "x") && Reader::Docker.holds("a.b", "x"));
    }
}
