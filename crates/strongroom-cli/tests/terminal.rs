//! What a person at a terminal sees. `script` makes the terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use rustix::termios::{LocalModes, tcgetattr};
use shell::Shell;

const BINARY: &str = env!("CARGO_BIN_EXE_strongroom");

/// A command on a terminal of its own.
struct Terminal {
    script: Child,
    screen: BufReader<std::process::ChildStdout>,
    device: File,
}

impl Terminal {
    fn run(shell: &Shell, command: &str) -> Self {
        Self::commands(shell, &format!("exec {BINARY} {command}"))
    }

    /// What a shell is told.
    fn commands(shell: &Shell, commands: &str) -> Self {
        // Its first line is the name of the terminal.
        let line = format!("tty; {commands}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.current_dir(shell.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        script.env("HOME", shell.path("")).env("TERM", "xterm");
        script.envs(shell.variables().iter().map(|(name, value)| (name, value)));
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut screen = BufReader::new(script.stdout.take().unwrap());
        let mut tty = String::new();
        screen.read_line(&mut tty).unwrap();
        let device = File::open(tty.trim_end()).unwrap();
        Self { script, screen, device }
    }

    /// Waits for the prompt, and until the terminal no longer shows what is typed; then types.
    fn answer(&mut self, prompt: &str, typed: &str) {
        self.wait_for(prompt);
        while tcgetattr(&self.device).unwrap().local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
        writeln!(self.script.stdin.as_mut().unwrap(), "{typed}").unwrap();
    }

    /// Waits for the question, types, and returns what was shown up to it.
    fn say(&mut self, question: &str, typed: &str) -> String {
        let seen = self.wait_for(question);
        writeln!(self.script.stdin.as_mut().unwrap(), "{typed}").unwrap();
        seen
    }

    fn wait_for(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.screen.read_exact(&mut byte).unwrap();
            seen.extend(byte);
        }
        String::from_utf8(seen).unwrap()
    }

    /// Ends it as it waits.
    fn stop(mut self) {
        drop(self.script.stdin.take());
        self.script.kill().unwrap();
        self.script.wait().unwrap();
    }

    /// The exit code, and what it showed since the last answer.
    fn end(mut self) -> (i32, String) {
        let mut screen = String::new();
        self.screen.read_to_string(&mut screen).unwrap();
        (self.script.wait().unwrap().code().unwrap(), screen)
    }
}

#[test]
fn what_changed_since_it_was_asked_about_is_asked_about_again() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok(&["account", "create", "user_1"]);
    let cases: [(&str, &str, &[&[&str]]); 3] = [
        ("delete A --purge", "delete the value of A", &[&["set", "A"]]),
        ("delete A --definition", "delete the definition A", &[&["set", "A"]]),
        (
            "account delete user_1",
            "delete linked account user_1",
            &[&["account", "delete", "user_1", "--yes"], &["account", "create", "user_1"]],
        ),
    ];
    for (command, deed, meanwhile) in cases {
        shell.ok_with("first", &["set", "A"]);
        let mut terminal = Terminal::run(&shell, command);
        terminal.wait_for("Go on? [y/N] ");
        for change in meanwhile {
            shell.ok_with("precious", change);
        }
        terminal.say("", "y");
        let asked = terminal.say("Go on? [y/N] ", "n");
        assert!(asked.contains("It has changed meanwhile.") && asked.contains(deed), "{asked}");
        assert_eq!(terminal.end().0, 1);
        assert_eq!(
            shell.ok(&["get", "A", "--reveal"]),
            if command.contains(" A") { "precious" } else { "first" }
        );
        assert!(shell.ok(&["account", "list"]).contains("user_1"));
    }
}

#[test]
fn a_copy_that_would_replace_other_values_than_it_showed_asks_again() {
    let shell = Shell::with_vault();
    let there = |arguments: &[&'static str]| [&["--environment", "prod"][..], arguments].concat();
    for (name, present) in [("P", "old"), ("Q", "same")] {
        shell.define(name, "string");
        shell.ok_with("same", &["set", name]);
        shell.ok(&there(&["define", name, "--format", "string"]));
        shell.ok_with(present, &[&there(&["set"])[..], &[name]].concat());
    }
    let mut terminal = Terminal::run(&shell, "copy test prod");
    terminal.wait_for("Go on? [y/N] ");
    shell.ok_with("same", &there(&["set", "P"]));
    shell.ok_with("precious", &there(&["set", "Q"]));
    terminal.say("", "y");
    assert!(terminal.say("Go on? [y/N] ", "n").contains("It has changed meanwhile."));
    assert_eq!(terminal.end().0, 1);
    assert_eq!(shell.ok(&there(&["get", "Q", "--reveal"])), "precious");
}

#[test]
fn what_is_pasted_at_a_question_answers_no_other_one() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("kept", &["set", "A"]);
    let mut terminal = Terminal::commands(&shell, &format!("{BINARY} delete A; cat"));
    terminal.say("Go on? [y/N] ", "y\nsecond");
    terminal.wait_for("its question\r\n");
    writeln!(terminal.script.stdin.as_mut().unwrap(), "typed later\n\u{4}").unwrap();
    let (_, screen) = terminal.end();
    assert!(screen.contains("typed later") && !screen.contains("second"), "{screen}");
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "kept");
}

#[test]
fn lines_pasted_at_a_prompt_are_refused_and_reach_no_shell() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    for rest in ["second", "second\nthird\n"] {
        let mut terminal = Terminal::commands(&shell, &format!("{BINARY} set A; cat"));
        terminal.answer("Value of A: ", &format!("first\n{rest}"));
        // What a shell would read next.
        terminal.wait_for("`< FILE`\r\n");
        writeln!(terminal.script.stdin.as_mut().unwrap(), "typed later\n\u{4}").unwrap();
        let (_, screen) = terminal.end();
        assert!(screen.contains("typed later") && !screen.contains("second"), "{screen}");
        assert_eq!(shell.run(&["get", "A"]).code, 3);
    }
}

#[test]
fn a_value_is_typed_at_a_prompt_that_does_not_show_it() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let mut terminal = Terminal::run(&shell, "set A");
    terminal.answer("Value of A: ", "hunter2");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("hunter2"), "{screen}");
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "hunter2");
}

#[test]
fn an_interrupt_at_a_prompt_leaves_a_terminal_that_shows_what_is_typed() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let mut terminal =
        Terminal::commands(&shell, &format!("trap : INT; {BINARY} set A; echo ended $?; read end"));
    terminal.answer("Value of A: ", "\u{3}");
    terminal.wait_for("ended 130");
    let shown = tcgetattr(&terminal.device).unwrap().local_modes;
    assert!(shown.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
    terminal.stop();
}

#[test]
fn a_command_told_to_end_at_a_prompt_leaves_a_terminal_that_shows_what_is_typed() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let told = "(sleep 1; pkill -TERM -P $$ strongroom) &";
    let mut terminal = Terminal::commands(&shell, &format!("{told} {BINARY} set A; echo ended $?; read end"));
    terminal.wait_for("ended 143");
    assert!(tcgetattr(&terminal.device).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
    terminal.stop();
}

#[test]
fn an_interrupt_at_the_question_after_an_editor_ends_the_command() {
    let shell = Shell::with_vault();
    shell.define("A", "integer");
    shell.write("editor", "echo A=x > \"$1\"");
    let edit = format!("export EDITOR='sh editor'; trap : INT; {BINARY} edit; echo ended $?; read end");
    let mut terminal = Terminal::commands(&shell, &edit);
    terminal.say("[Y/n] ", "\u{3}");
    terminal.wait_for("ended 130");
    terminal.stop();
}

#[test]
fn a_passphrase_is_typed_twice_and_not_shown() {
    let shell = Shell::new();
    let mut terminal = Terminal::run(&shell, "init --ask-passphrase");
    terminal.answer(": ", "correct horse battery staple");
    terminal.answer(": ", "correct horse battery staple");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains("horse"), "{screen}");
    shell.write("passphrase", "correct horse battery staple\n");
    shell.ok(&["--passphrase-file", "passphrase", "list"]);
}

#[test]
fn init_says_where_the_vault_will_be_and_asks_what_shall_open_it() {
    for (typed, has_key_file) in [("", true), ("k", true), ("P", false)] {
        let shell = Shell::new();
        let mut terminal = Terminal::run(&shell, "init");
        let seen = terminal.say("[K/p] ", typed);
        assert!(seen.contains("share/strongroom/vault") && seen.contains("vault.key"), "{seen}");
        if !has_key_file {
            terminal.answer(": ", "correct horse battery staple");
            terminal.answer(": ", "correct horse battery staple");
        }
        let (code, screen) = terminal.end();
        assert_eq!((code, shell.key().exists()), (0, has_key_file), "{typed}: {screen}");
    }
    let shell = Shell::new();
    let mut terminal = Terminal::run(&shell, "init");
    terminal.say("[K/p] ", "no");
    assert_eq!((terminal.end().0, shell.key().exists(), shell.store().exists()), (2, false, false));
    shell.ok(&["init"]);
    let (code, screen) = Terminal::run(&shell, "init").end();
    assert!(
        code != 0 && !screen.contains("[K/p]"),
        "a place that is taken is refused before anything is asked: {screen}"
    );
    let shell = Shell::new();
    shell.write("file", "");
    let mut terminal = Terminal::run(&shell, "init --store redb:file/v --root-key-file k");
    assert_ne!(terminal.script.wait().unwrap().code(), Some(0));
    assert!(!shell.path("k").exists(), "no key is made for a store that cannot be");
    let (code, screen) = Terminal::run(&shell, "init --root-key-file k").end();
    assert!(code == 0 && !screen.contains("[K/p]"), "what was said is not asked: {screen}");
}

#[test]
fn what_destroys_says_what_goes_and_asks() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("x", &["set", "A"]);
    for (command, deed) in [
        ("delete A", "This will delete the value of A at org, in environment test."),
        (
            "delete A --definition",
            "This will delete the definition A and its values: 1, in environment test.",
        ),
    ] {
        let mut terminal = Terminal::run(&shell, command);
        let seen = terminal.say("[y/N] ", "n");
        assert!(seen.contains(deed), "{seen}");
        assert_eq!(terminal.end().0, 1);
        assert_eq!(shell.ok(&["get", "A", "--reveal"]), "x");
    }
    let mut terminal = Terminal::run(&shell, "delete A --definition");
    terminal.say("[y/N] ", "y");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(shell.ok(&["--json", "list"]), "[]\n");
}

#[test]
fn a_question_holds_no_store() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("x", &["set", "A"]);
    shell.ok(&["copy", "test", "prod"]);
    shell.ok_with("y", &["--environment", "prod", "set", "A"]);
    for (command, question) in [
        ("set A", "Value of A: "),
        ("delete A", "[y/N] "),
        ("copy test prod", "[y/N] "),
        ("list", "Passphrase: "),
        ("slot add", "New passphrase: "),
    ] {
        // Without a key file at the default place, it asks for a passphrase.
        let key = if command == "list" { shell.path("k") } else { shell.key() };
        fs::rename(shell.key(), &key).unwrap();
        let mut terminal = Terminal::run(&shell, &format!("--wait 0 {command}"));
        terminal.wait_for(question);
        shell.ok_with("z", &["--wait", "0", "--root-key-file", key.to_str().unwrap(), "set", "A"]);
        terminal.stop();
        fs::rename(&key, shell.key()).unwrap();
    }
    let mut terminal = Terminal::run(&shell, "copy test prod");
    let seen = terminal.say("[y/N] ", "y");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0);
    assert_eq!((seen.matches("ACTION").count(), screen.matches("ACTION").count()), (1, 1), "{seen}{screen}");
}

#[test]
fn what_was_typed_in_an_editor_is_not_lost_to_a_mistake_in_it() {
    let shell = Shell::with_vault().variable("EDITOR", "sh ./editor");
    shell.define("PORT", "integer");
    shell.define("HOST", "string");
    shell.ok_with("80", &["set", "PORT"]);
    shell.ok_with("a", &["set", "HOST"]);
    let editor = "if [ -e again ]; then sed -i s/abc/90/ \"$1\"; else touch again; \
                  sed -i 's/80/abc/;s/HOST=a/HOST=b/' \"$1\"; fi";
    shell.write("editor", editor);
    let mut terminal = Terminal::run(&shell, "edit --yes");
    let seen = terminal.say("[Y/n] ", "");
    assert!(seen.contains("an integer") && seen.contains("Nothing was written"), "{seen}");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(
        (shell.ok(&["get", "PORT", "--reveal"]), shell.ok(&["get", "HOST", "--reveal"])),
        ("90".into(), "b".into())
    );
}

#[test]
fn a_stored_text_does_not_control_the_terminal() {
    let shell = Shell::with_vault();
    let hostile = "\x1b]0;owned\x07\u{9b}31m\u{202e}tail\ntwo";
    shell.define("A", "string");
    shell.ok_with(hostile, &["set", "A"]);
    for command in
        ["get A --reveal", "resolve --reveal", "export --reveal --format env", "export --reveal --for json"]
    {
        let (code, screen) = Terminal::run(&shell, command).end();
        assert_eq!(code, 0, "{screen}");
        // Of the escapes only those of colours are the program's own.
        let own = screen.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[36m", "");
        assert!(
            own.contains("owned") && !own.contains(['\x1b', '\x07', '\u{9b}', '\u{202e}']),
            "{command}: {own:?}"
        );
    }
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), hostile, "a pipe gets the exact text");
    let json = shell.ok(&["--json", "get", "A", "--reveal"]);
    assert!(!json.contains(['\u{9b}', '\u{202e}']), "{json}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["value"], hostile);
}

/// Asserts that no character on the screen controls the terminal, but for the colours of the program itself.
fn assert_harmless(command: &str, screen: &str) {
    let colours = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\r"];
    let own = colours.iter().fold(screen.to_owned(), |screen, colour| screen.replace(colour, ""));
    let raw: Vec<char> = own.chars().filter(|c| c.is_control() && *c != '\n' || *c == '\u{202e}').collect();
    assert!(raw.is_empty(), "{command}: {raw:?} in {own:?}");
}

#[test]
fn no_command_lets_a_text_of_a_tenant_control_the_terminal() {
    let shell = Shell::with_vault();
    let hostile = "\x1b]0;owned\x07\u{9b}31m\u{202e}tail";
    // Ids and names take no control characters, but others that reorder what is shown.
    let (id, name, key) = ("u\u{202e}ser", "V\u{202e}AR", "k\u{202e}ey");
    shell.ok(&["define", name, "--format", "string", "--description", hostile, "--default", hostile]);
    shell.ok(&["define", "E", "--format", "enum", "--one-of", hostile, "--one-of", "b"]);
    shell.ok(&["account", "create", id, "--name", hostile, "--default-app"]);
    shell.ok_with(hostile, &["credential", "set", key, "--account", id]);
    shell.ok_with(hostile, &["set", name, "--account", id]);
    shell.run(&["api-key", "create", hostile]);
    shell.write("bad.env", format!("{name}=x\n{hostile}\n"));
    shell.write("bad.json", format!("{{\"{id}\": 1"));
    let commands = [
        "list".to_owned(),
        "list --all".into(),
        format!("get '{name}' --reveal"),
        format!("get '{name}' --account '{id}'"),
        format!("get '{name}X'"),
        format!("get E --account '{hostile}'"),
        format!("resolve --account '{id}'"),
        format!("resolve --reveal --account '{id}'"),
        format!("explain '{name}' --account '{id}'"),
        "explain E".into(),
        format!("set E --account '{id}' <bad.env"),
        "account list".into(),
        format!("account delete '{id}' </dev/null"),
        format!("account delete '{id}x' --yes"),
        format!("credential list --account '{id}'"),
        format!("credential list --account '{id}x'"),
        format!("credential delete '{key}' --account '{id}' </dev/null"),
        format!("credential delete '{hostile}' --account '{id}' --yes"),
        format!("delete '{name}' --account '{id}' </dev/null"),
        format!("delete '{name}' --definition </dev/null"),
        format!("shred account '{id}' </dev/null"),
        format!("define '{name}' --format string"),
        format!("define '{hostile}' --format string"),
        "define E --change --format string --dry-run".into(),
        "import bad.env".into(),
        "import bad.json --format json".into(),
        format!("import '{hostile}'"),
        format!("export --reveal --account '{id}'"),
        "api-key list".into(),
        format!("api-key revoke '{hostile}' --yes"),
        "slot list".into(),
        "job list".into(),
        "verify".into(),
        format!("--store '{hostile}' list"),
        format!("--config '{hostile}' list"),
        format!("'{hostile}'"),
        format!("run --account '{id}' -- true"),
        "--json list".into(),
        "--json account list".into(),
    ];
    for command in commands {
        let (_, screen) = Terminal::run(&shell, &command).end();
        assert_harmless(&command, &screen);
        assert!(!screen.is_empty() || command.contains("run"), "{command} shows nothing");
    }
}

#[test]
fn colour_is_for_terminals_alone() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let (code, screen) = Terminal::run(&shell, "list").end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("\u{1b}["), "{screen:?}");
    assert!(!shell.ok(&["list"]).contains('\u{1b}'));
}

#[test]
fn progress_is_not_shown_where_there_is_no_terminal() {
    let shell = Shell::with_vault();
    shell.write("a.env", (0..230).map(|n| format!("V{n}={n}\n")).collect::<String>());
    let ran = shell.run(&["import", "a.env", "--in-parts"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
