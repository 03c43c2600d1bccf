//! `completions`: commands and options for the completion of a shell, and the names of variables where it can ask.

use std::io::{self, Write};

use clap_complete::Shell;

use crate::failure::Failure;

/// `completions` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Completions {
    /// The shell to print them for
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut grammar: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut grammar, "strongroom", &mut script);
        let script = String::from_utf8_lossy(&script);
        let with_names = match self.shell {
            Shell::Bash => [&*script, &with_commands(NAMES_IN_BASH)].concat(),
            Shell::Fish => [&*script, &with_commands(NAMES_IN_FISH)].concat(),
            Shell::Zsh => names_in_zsh(&script),
            _ => script.into_owned(),
        };
        Ok(io::stdout().write_all(with_names.as_bytes())?)
    }
}

fn with_commands(names: &str) -> String {
    let names = names.replace("CASES", CASES).replace("COMMANDS", &TAKE_A_NAME.join(" "));
    names.replace("OPTIONS", &WHERE.join("|"))
}

/// The same script with names where these commands take one.
fn names_in_zsh(script: &str) -> String {
    let (mut takes_name, mut lines) = (false, Vec::new());
    for line in script.lines() {
        if let Some(command) = line.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            takes_name = TAKE_A_NAME.contains(&command);
        }
        let is_name = takes_name && (line.starts_with("':name") || line.starts_with("'::name"));
        lines.push(if is_name { line.replace(":_default'", ":_strongroom_names'") } else { line.to_owned() });
    }
    let (compdef, rest) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    [compdef, &with_commands(NAMES_IN_ZSH), &rest.join("\n"), ""].join("\n")
}

/// The commands whose argument is the name of a variable.
const TAKE_A_NAME: [&str; 10] =
    ["define", "show", "set", "get", "resolve", "explain", "delete", "history", "undo", "revert"];

/// The options that say where the names are. They are also passed to the command that lists the names.
const WHERE: [&str; 8] = [
    "--store",
    "--url",
    "--org",
    "--environment",
    "--api-key-file",
    "--root-key-file",
    "--passphrase-file",
    "--config",
];

// The names are quoted, as fish and zsh do by themselves: a user who may define a variable must not be able to run
// anything in the shell of someone who completes its name. Nothing is asked and nothing is waited for.

/// For both shells that have `case`: the words that say where the names are.
const CASES: &str = r#"            OPTIONS) where+=("${typed[i]}" "${typed[i+1]}") ;;
            --*=*) case ${typed[i]%%=*} in OPTIONS) where+=("${typed[i]}") ;; esac ;;
            --no-project) where+=(--no-project) ;;
"#;

const NAMES_IN_BASH: &str = r#"
_strongroom_names() {
    _strongroom "$@"
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" name command i
    [[ $word == -* ]] && return
    [[ $before == --@(format|scope|account|workflow|environment|org|store) ]] && return
    # By blanks alone: the shell's own words end at `:` and `=` too.
    local -a typed where=()
    read -ra typed <<< "${COMP_LINE:0:COMP_POINT}"
    for ((i = 1; i < ${#typed[@]}; i++)); do
        case ${typed[i]} in
CASES        esac
    done
    local only=
    [[ $before == --only ]] && only=get
    for command in "${COMP_WORDS[@]:1:COMP_CWORD-1}" $only; do
        [[ " COMMANDS " == *" $command "* ]] || continue
        while IFS= read -r name; do
            printf -v name %q "$name"
            [[ $name == "$word"* ]] && COMPREPLY+=("$name")
        done < <("$1" --wait 0 ${where[@]+"${where[@]}"} list --names </dev/null 2>/dev/null)
        return
    done
}
complete -F _strongroom_names -o nosort -o bashdefault -o default strongroom
"#;

const NAMES_IN_FISH: &str = r"
function __strongroom_names
    set -l where
    set -l is_next 0
    for word in (commandline -opc)
        if test $is_next = 1
            set -a where $word
            set is_next 0
        else if string match -qr '^(OPTIONS)$' -- $word
            set -a where $word
            set is_next 1
        else if string match -qr '^(OPTIONS)=|^--no-project$' -- $word
            set -a where $word
        end
    end
    command strongroom --wait 0 $where list --names </dev/null 2>/dev/null
end
for command in COMMANDS
    complete -c strongroom -n __fish_strongroom_using_subcommand\ $command -f -a '(__strongroom_names)'
end
complete -c strongroom -l only -x -a '(__strongroom_names)'
";

const NAMES_IN_ZSH: &str = r#"
_strongroom_names() {
    local -a names typed where
    local i
    typed=("${(@Q)${(z)LBUFFER}}")
    for ((i = 2; i < $#typed; i++)); do
        case ${typed[i]} in
CASES        esac
    done
    names=("${(@f)$(command strongroom --wait 0 $where list --names </dev/null 2>/dev/null)}")
    compadd -a names
}
"#;
