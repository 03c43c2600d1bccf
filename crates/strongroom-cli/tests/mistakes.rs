//! What people get wrong: each time one sentence that names the mistake, and one that names the step.

mod shell;

use shell::Shell;

/// What is typed, the exit code, a part of the sentence and a part of the step.
type Mistake = (&'static [&'static str], i32, &'static str, &'static str);

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    (&["set", "PORT"], 2, "the value is empty", "--empty"),
    (&["set", "PORT", "8080"], 2, "read from standard input", "replace the secret"),
    (&["set", "PORT=8080"], 2, "read from standard input", "replace the secret"),
    (&["get", "PROT"], 3, "`PROT` not found", "did you mean PORT?"),
    (&["get", "TOKEN"], 3, "TOKEN has no value at org", "strongroom explain"),
    (&["delete", "PORT"], 2, "of PORT at org, in environment test", "--yes"),
    (&["account", "delete", "user_1"], 2, "this would delete linked account user_1", "--yes"),
    (&["resolve", "--account", "user_2"], 3, "user_2 not found", "did you mean user_1?"),
    (&["lsit"], 2, "no command lsit", "did you mean list?"),
    (&["list", "--valeus"], 2, "no option --valeus", "did you mean --values?"),
    (&["define", "A", "--format", "nubmer"], 2, "nubmer is not a value", "did you mean number?"),
    (&["define", "PORT", "--format", "string"], 4, "PORT is defined already", "define PORT --change"),
    (&["define", "B"], 2, "--format", "--help"),
    (&["define", "PORT", "--change"], 2, "nothing of PORT would change", "--required"),
    (&["import", "none.env"], 2, "none.env could not be read", "check the path"),
    (&["import", "bad.env"], 4, "bad.env, line 2: the quotes", "change that line"),
    (&["import", "bad.json"], 4, "bad.json, line 2", "change that line"),
    (&["import", "bad.yaml"], 4, "bad.yaml, line 2: an alias", "convert it to JSON"),
    (&["export"], 2, "--reveal", "--help"),
    (&["export", "--for", "shel", "--reveal"], 2, "shel is not a value", "did you mean shell?"),
    (&["export", "--only", "PROT", "--reveal"], 3, "`PROT` not found", "did you mean PORT?"),
    (&["inject", "none", "--reveal"], 2, "none could not be read", "check the path"),
    (&["diff", "test"], 2, "<B>", "--help"),
    (&["run", "env"], 2, "env is one too many", "strongroom run -- COMMAND"),
    (&["run", "--", "no-such"], 127, "no-such could not be run", "in PATH"),
    (&["--root-key-file", "bad.key", "list"], 5, "bad.key holds no root key", "--root-key-file"),
    (&["--root-key-file", "other.key", "list"], 5, "key", "--root-key-file"),
    (&["--store", "none", "list"], 6, "there is no store at none", "strongroom init"),
    (&["--store", "redis:x", "list"], 2, "no store of kind `redis`", "redb:PATH"),
    (&["--url", "127.0.0.1", "list"], 2, "http:// or https://", "http://127.0.0.1:7077"),
    (&["--url", "http://127.0.0.1:1", "list"], 2, "needs an API key", "--api-key-file"),
    (&["--org", "x", "list"], 2, "24 lowercase hexadecimal digits", "--help"),
    (&["--config", "none", "list"], 2, "no configuration file none", "--config"),
    (&["export", "--for", "docker", "--secret-name", "x", "--reveal"], 2, "names a Secret", "--for k8s"),
    (&["define", "$(id)", "--format", "string"], 4, "defined already", "`strongroom show '$(id)'`"),
    (&["export", "--only", "$(id)", "--reveal"], 3, "$(id) has no value", "`strongroom explain '$(id)'`"),
    (&["status", "-x"], 2, "no option -x", "--help"),
    (&["list", "--account"], 2, "--account <ID> needs a value", "--help"),
    (&["--config", "bad.json", "list"], 2, "bad.json, line 1", "another file with --config"),
    (&["inject", "/dev/zero", "--reveal"], 2, "more than 64 MiB", "check the path"),
    (&["init"], 6, "already holds a vault", "--store"),
    (&["slot", "remove", "zz"], 2, "zz is not a value", "--help"),
    (&["list", "--values", "--account", "user_2"], 3, "user_2 not found", "did you mean user_1?"),
    (&["undo", "OLD", "--definition"], 3, "no deleted definition OLD", "strongroom define"),
    (&["audit", "--drop-before", "90d"], 2, "this would drop the events", "--yes"),
    (&["diff", "@account", "test"], 2, "@account:ID", "--help"),
    (&["define", "C", "--format", "number", "--default", "x"], 4, "the default", "change what the message names"),
    (&["define", "PORT", "--change", "--one-of", "a"], 2, "--one-of goes with --format enum", "define --help"),
    (&["define", "C", "--format", "enum", "--one-of", "a", "--one-of", "a"], 4, "must differ", "define --help"),
    (&["api-key", "create", "k", "--expires-in", "-1d"], 2, "the value for --expires-in", "--help"),
    (&["api-key", "revoke", "name"], 2, "`strongroom api-key list` shows", "--help"),
    (&["job", "run", "name"], 2, "`strongroom job list` shows", "--help"),
    (&["shred", "environment", "tset", "--yes"], 3, "no environment tset", "did you mean --environment test?"),
];

#[test]
fn a_part_of_a_second_is_refused_where_it_would_be_lost() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    for words in [
        &["define", "A", "--change", "--keep-for", "500ms"][..],
        &["define", "B", "--format", "string", "--keep-for", "1500ms"],
        &["api-key", "rotate", "6500a1b2c3d4e5f6a7b8c9d0", "--grace", "500ms"],
        &["rotate", "data", "--older-than", "500ms"],
        &["serve", "--session-lifetime", "1500ms"],
    ] {
        let ran = shell.run(words);
        assert!(ran.code == 2 && ran.stderr.contains("whole seconds"), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn each_mistake_is_named_and_so_is_the_step() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.define("TOKEN", "string");
    shell.define("$(id)", "string");
    shell.ok_with("80", &["set", "PORT"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.write("bad.env", "A=1\nB=\"x\n");
    shell.write("bad.json", "{\n");
    shell.write("bad.yaml", "A: &x 1\nB: *x\n");
    shell.write("bad.key", "x\n");
    shell.write("other.key", "07".repeat(32));
    for (typed, code, mistake, step) in MISTAKES {
        let ran = shell.run(typed);
        assert_eq!((ran.code, ran.stdout.as_str()), (*code, ""), "{typed:?}: {}", ran.stderr);
        let line = |word: &str| ran.stderr.lines().find_map(|line| line.strip_prefix(word));
        assert!(line("error: ").is_some_and(|text| text.contains(mistake)), "{typed:?}: {}", ran.stderr);
        assert!(line("next: ").is_some_and(|text| text.contains(step)), "{typed:?}: {}", ran.stderr);
    }
}
