//! `completions`: commands and options for the completion of a shell, in bash the names of variables too.

use std::io::{self, Write};

use clap_complete::Shell;

use crate::failure::Failure;

/// `completions` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut grammar: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut grammar, "strongroom", &mut script);
        if self.shell == Shell::Bash {
            script.extend(NAMES_IN_BASH.as_bytes());
        }
        Ok(io::stdout().write_all(&script)?)
    }
}

/// Adds the names of the vault where a command takes one. They are compared and never expanded: who may define a
/// variable must not run anything in the shell of who completes its name. Nothing is asked and nothing is waited for.
const NAMES_IN_BASH: &str = r#"
_strongroom_names() {
    _strongroom "$@"
    local word="${COMP_WORDS[COMP_CWORD]}" name command
    [[ $word == -* ]] && return
    for command in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $command in
            define | show | set | get | resolve | explain | delete | history | undo | revert)
                while IFS= read -r name; do
                    [[ $name == "$word"* ]] && COMPREPLY+=("$name")
                done < <("$1" --wait 0 list --names </dev/null 2>/dev/null)
                return
                ;;
        esac
    done
}
complete -F _strongroom_names -o nosort -o bashdefault -o default strongroom
"#;
