//! What to do about a finding of `verify`.

use strongroom::{
    Cause, ConnectionId, Damage, Environment, Finding, Index, IntegrationId, LinkedAccountId, OrgId, Parent,
    RowName, RowPath, WorkflowId,
};

/// What repairs such a finding, or takes it away, in the words of the command line. A command names the org and
/// environment of the row unless they are `own`, in which commands work anyway.
#[must_use]
pub fn next_of(finding: &Finding, own: Option<(&OrgId, &Environment)>) -> String {
    placed(&filled(step_of(finding), &finding.path), &finding.path, own)
}

/// The same step, with what is known of the row in place of the placeholder of each command.
fn filled(step: &str, path: &RowPath) -> String {
    let mut parts = step.split(COMMAND);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (command, rest) = part.split_once('`').unwrap_or((part, ""));
        let (command, has_options) = filled_command(command, path);
        let said = [
            " with its --account, --app and --connection",
            " with its --app and --connection",
            " with its --app",
        ];
        let said = said.iter().filter(|_| has_options).find_map(|said| rest.strip_prefix(said));
        filled.extend([COMMAND, &command, "`", said.unwrap_or(rest)]);
    }
    filled
}

/// A command with what is known of a row, and whether it has the options that say where the row is.
fn filled_command(command: &str, path: &RowPath) -> (String, bool) {
    let mut words: Vec<&str> = command.split(' ').collect();
    let (placeholder, known, options) = known_of(&words, path);
    let (Some(word), Some(known)) = (words.iter_mut().find(|word| **word == placeholder), &known) else {
        return (command.to_owned(), false);
    };
    *word = known;
    (words.join(" ") + &options, true)
}

/// The placeholder of a command, what it is in this row, and the options that say where.
fn known_of(command: &[&str], path: &RowPath) -> (&'static str, Option<String>, String) {
    let key_name = path.key_name.as_deref().map(word);
    let account = path.linked_account.as_ref().map(|id| word(id.as_str()));
    let definition_name = path.definition_name.as_deref().map(word);
    let nowhere = String::new();
    match command {
        ["credential", ..] => ("KEY", key_name, place_of(path, &["account", "app", "connection"])),
        ["account", "add-app" | "remove-app", ..] => ("ID", account, place_of(path, &["app", "connection"])),
        ["account", "end-sessions", ..] => {
            ("ID", key_name.filter(|_| path.name.as_deref() == Some("account-session")), nowhere)
        }
        ["account", ..] | ["rotate", "data", "--account", ..] => ("ID", account, nowhere),
        ["api-key", "revoke", ..] => ("ID", key_name, nowhere),
        ["slot", "remove", ..] => ("ID", path.name.as_deref().map(word), nowhere),
        ["undo" | "delete", "ID", ..] => ("ID", path.definition_id.map(|id| id.to_string()), nowhere),
        ["define", ..] => ("NAME", definition_name, nowhere),
        ["undo" | "delete" | "set", ..] => {
            ("NAME", definition_name, place_of(path, &["account", "workflow"]))
        }
        _ => ("", None, nowhere),
    }
}

/// Those of these options that say where a row is.
fn place_of(path: &RowPath, options: &[&str]) -> String {
    let app = path.name.as_deref().filter(|app| *app != IntegrationId::default_app().as_str());
    let place = [
        ("account", path.linked_account.as_ref().map(LinkedAccountId::as_str)),
        ("workflow", path.workflow.as_ref().map(WorkflowId::as_str)),
        ("app", app),
        ("connection", path.connection.as_ref().map(ConnectionId::as_str)),
    ];
    let known = place.into_iter().filter(|(option, _)| options.contains(option));
    known.filter_map(|(option, id)| Some(format!(" --{option} {}", word(id?)))).collect()
}

/// A text as one word of a shell.
#[must_use]
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:@/+,=%".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The same step with the org and environment of a row in each command: elsewhere, it would delete or replace what
/// nothing is wrong with.
fn placed(step: &str, path: &RowPath, own: Option<(&OrgId, &Environment)>) -> String {
    let (org, environment) = (path.org.as_ref(), path.environment.as_ref());
    let is_own = |(its, chosen)| org == Some(its) && environment.is_none_or(|found| found == chosen);
    let is_elsewhere = !own.is_some_and(is_own);
    let option =
        |name: &str, value: String| if is_elsewhere { format!("--{name} {value} ") } else { String::new() };
    let at_org = org.map(|org| option("org", org.to_string())).unwrap_or_default();
    let within = environment.map(|found| option("environment", found.to_string())).unwrap_or_default();
    let mut parts = step.split(COMMAND);
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for command in parts {
        let verb = command.split([' ', '`']).next().unwrap_or_default();
        // The API key of a server is of one org and environment.
        let is_remote = command.split('`').next().is_some_and(|words| words.contains("--url"));
        let (at_org, within) = match verb {
            _ if is_remote || OF_VAULT.contains(&verb) => ("", ""),
            // It names the environment, and is noted in the audit of another one.
            "shred" => (at_org.as_str(), ""),
            _ => (at_org.as_str(), within.as_str()),
        };
        placed.extend([COMMAND, at_org, within, command]);
    }
    match environment {
        Some(found) => placed.replace("shred environment NAME", &format!("shred environment {found}")),
        None => placed,
    }
}

fn step_of(finding: &Finding) -> &'static str {
    swept(finding).or_else(|| by_cause(finding)).or_else(|| by_row(finding)).unwrap_or(match finding.is_unreadable() {
        true => "`strongroom verify --sweep --unreadable` deletes such rows; a backup from before has them whole",
        false => "a backup from before has all rows whole",
    })
}

/// For what means nothing to anybody, or follows from other rows.
fn swept(finding: &Finding) -> Option<&'static str> {
    Some(match (finding.path.row, &finding.cause) {
        (RowName::ValueId | RowName::DefinitionValue, Cause::Dangling) => {
            "a value, or the note that it was deleted, may be missing there: if versions of it are kept, `strongroom \
             undo NAME --replace-damaged` brings it back, and `strongroom delete NAME --purge` deletes it with them; \
             otherwise a backup from before has it, and `strongroom verify --sweep` deletes what led to it"
        }
        (RowName::ChainHead, _) if finding.is_stray() => {
            "events of this chain may be gone, which an export from before shows; `strongroom verify --sweep` deletes \
             the head"
        }
        (RowName::Definition, Cause::NotIndexed(Index::DefinitionName)) => {
            "`strongroom define NAME` finds a definition by its name and makes the index row again, as does \
             `strongroom verify --sweep`"
        }
        (RowName::DeletedValue | RowName::DeletedCredential | RowName::DeletedDefinition, _)
            if finding.is_unreadable() =>
        {
            "what it says was deleted is there and stays: `strongroom verify --sweep --unreadable` deletes only this \
             note"
        }
        _ if finding.is_stray() => "`strongroom verify --sweep` deletes stray rows",
        _ if finding.is_mendable() => {
            "what is missing follows from other rows: `strongroom verify --sweep` writes it again"
        }
        _ => return None,
    })
}

/// For what does not fit other rows.
#[allow(clippy::wildcard_enum_match_arm, reason = "the others depend on the row")]
fn by_cause(finding: &Finding) -> Option<&'static str> {
    Some(match (finding.path.row, &finding.cause) {
        (_, Cause::UnknownVersion(_)) => OF_LATER,
        (_, Cause::RestoreUnfinished) => UNFINISHED,
        (_, Cause::CameBack) => {
            "the store shows again what was deleted: `strongroom delete` deletes it once more, or keep it if a restore \
             brought it back, and set it again"
        }
        (_, Cause::Orphan(Parent::Definition)) => {
            "`strongroom undo ID --definition --replace-damaged` brings the definition back if versions of it are \
             kept; a backup from before has it; `strongroom delete ID --definition --purge` deletes what is left of it"
        }
        (_, Cause::Orphan(Parent::Integration)) if finding.path.connection.is_some() => {
            "`strongroom account add-app ID` with its --app and --connection makes the connection again and keeps its \
             credentials, `strongroom account remove-app ID --purge` with its --app and --connection deletes them, \
             `strongroom account delete ID --purge` what is left of an account"
        }
        (_, Cause::Orphan(Parent::Integration)) => {
            "`strongroom account add-app ID` with its --app makes the app again and keeps its credentials, `strongroom \
             account remove-app ID --purge` with its --app deletes what is left of an app, `strongroom account delete \
             ID --purge` what is left of an account"
        }
        (RowName::Integration, Cause::NoJob) if finding.path.connection.is_some() => {
            "`strongroom account remove-app ID --purge` with its --app and --connection deletes what is left of a \
             connection"
        }
        (RowName::Integration, Cause::NoJob) => {
            "`strongroom account remove-app ID --purge` with its --app deletes what is left of an app"
        }
        (RowName::Keyring, Cause::NoJob) => OF_SHRED,
        (_, Cause::Orphan(Parent::LinkedAccount)) => {
            "`strongroom account create ID` makes the account again and keeps all that it has; a backup from before \
             has it whole; `strongroom account delete ID --purge` deletes what is left of it"
        }
        (_, Cause::NoJob) => OF_ACCOUNT,
        (RowName::Value, Cause::ScopeNotAllowed(_)) => {
            "`strongroom delete NAME` at that scope deletes the value; to keep it, allow the scope with `strongroom \
             define NAME --change --scope SCOPE`"
        }
        (RowName::Value, Cause::Invalid(_)) => {
            "`strongroom set NAME` at that scope replaces the value by one that fits; `strongroom delete NAME` \
             deletes it"
        }
        (RowName::DefinitionName, Cause::Dangling) => {
            "a definition may be missing there: `strongroom undo ID --definition --replace-damaged` brings it back if \
             versions of it are kept; otherwise `strongroom delete ID --definition --purge` deletes what is left, with \
             the ID that `strongroom define` says of the name; do not delete an ID that `strongroom list` shows"
        }
        _ => return None,
    })
}

/// For what cannot be read or is missing.
#[allow(clippy::wildcard_enum_match_arm, reason = "what nothing else repairs is in a backup")]
fn by_row(finding: &Finding) -> Option<&'static str> {
    let is_unreadable = matches!(finding.cause, Cause::Damaged(_) | Cause::UnknownKey(_));
    Some(match finding.path.row {
        RowName::Header | RowName::StoreRow => OF_HEAD,
        RowName::FormerValue | RowName::FormerCredential | RowName::FormerDefinition
            if finding.is_unreadable() =>
        {
            "`strongroom verify --sweep --unreadable` deletes only this version; a backup from before has it whole"
        }
        RowName::Value | RowName::DeletedValue | RowName::FormerValue
            if is_unreadable && finding.path.definition_name.is_none() =>
        {
            "no name leads to its definition: `strongroom delete ID --definition --purge` deletes what is left of one \
             that is gone, and keeps one that is there by its name"
        }
        RowName::Definition => {
            "`strongroom undo ID --definition --replace-damaged` sets a definition back, `strongroom define NAME \
             --replace-damaged` defines it again and keeps its values if no version is kept, and `strongroom delete ID \
             --definition --purge` deletes it with its values"
        }
        RowName::DeletedDefinition => {
            "`strongroom undo ID --definition --replace-damaged` sets a definition back, and `strongroom delete ID \
             --definition --purge` deletes what is left of it"
        }
        RowName::Value | RowName::DeletedValue if is_unreadable => {
            "`strongroom undo NAME --replace-damaged` sets the value at that scope back, and `strongroom delete NAME \
             --purge` deletes what is left of it"
        }
        RowName::Credential | RowName::DeletedCredential if is_unreadable => OF_CREDENTIAL,
        RowName::FormerValue | RowName::FormerCredential if is_unreadable => {
            "a backup from before has the version whole; what deletes it deletes all of its versions and the present \
             one: `strongroom delete NAME --purge`, or `strongroom credential delete KEY --purge`"
        }
        RowName::Count => {
            "only `strongroom verify` and `strongroom checkpoint` read it: the next `strongroom define` of a new \
             variable, or `strongroom delete NAME --definition`, counts the definitions again"
        }
        RowName::AuditFloor => {
            "`strongroom audit --drop-before TIME` writes the note of dropped events again; the chains that it \
             counted are then reported as incomplete"
        }
        RowName::AuditHead if is_unreadable => {
            "the next command that writes begins the head of the audit again, where the audit is on"
        }
        RowName::LinkedAccount if is_unreadable => OF_ACCOUNT,
        RowName::Integration if is_unreadable && finding.path.connection.is_some() => OF_CONNECTION,
        RowName::Integration if is_unreadable => OF_APP,
        RowName::Keyring => of_keyring(finding),
        RowName::Record if is_unreadable => return of_damaged_record(finding),
        RowName::Note if finding.path.org.is_none() => {
            "if the vault was moved, use it where it is now; if it is nowhere else, `strongroom backup FILE` takes all \
             of it, and `strongroom restore --replaces-original FILE` makes a store of that which takes writes"
        }
        RowName::Note if finding.is_unreadable() => {
            "if a restore of the org was interrupted, `strongroom shred restore` deletes what it wrote: then restore \
             the org again; if not, `strongroom verify --sweep --unreadable` deletes only the note"
        }
        RowName::Slot if is_unreadable => {
            "`strongroom slot remove ID` deletes the slot, and `strongroom slot add` makes one"
        }
        RowName::Event | RowName::ChainHead | RowName::AuditHead => {
            "a gap in the audit is reported until the events around it are dropped for their age with `strongroom \
             audit --drop-before TIME`; an earlier export or a backup may have what is missing"
        }
        RowName::Job if is_unreadable && !finding.is_unreadable() => OF_SHRED,
        RowName::Job if finding.is_unreadable() => OF_JOB,
        _ => return None,
    })
}

fn of_keyring(finding: &Finding) -> &'static str {
    let is_missing = matches!(finding.cause, Cause::Damaged(Damage::Missing));
    match (finding.path.linked_account.is_some(), is_missing) {
        // Of an account that is gone, or was never there, rows may be left without one.
        (true, true) => OF_ACCOUNT,
        (true, false) => OF_ACCOUNT_KEYRING,
        // A server that had it takes the store for an older one.
        (false, true) => OF_ORG,
        (false, false) => OF_ORG_KEYRING,
    }
}

fn of_damaged_record(finding: &Finding) -> Option<&'static str> {
    let namespace = finding.path.name.as_deref();
    // Nothing looks these up under a damaged key: a sweep deletes them.
    let is_unused = finding.is_unreadable() && matches!(namespace, Some("signing-key" | "api-key-line"));
    namespace.filter(|_| !is_unused).and_then(of_record)
}

/// What repairs the row that the message of an error names first, or takes it away. `None` if the message does not
/// decide that.
#[must_use]
pub fn next_of_damage(message: &str) -> Option<&'static str> {
    let is_of = |row: &str| message.starts_with(row);
    if let Some(step) = next_of_whole(message) {
        return Some(step);
    }
    match message.strip_prefix("the record in ") {
        Some(record) => record.split(' ').next().and_then(of_record),
        None if is_of("the keyring of linked account ") => Some(OF_ACCOUNT_KEYRING),
        None if is_of("the keyring in org ") => Some(OF_ORG_KEYRING),
        None if is_of("the row of linked account ") => Some(OF_ACCOUNT),
        None if is_of("the integration ") && message.contains(" connection ") => Some(OF_CONNECTION),
        None if is_of("the integration ") => Some(OF_APP),
        None if is_of("the credential ") => Some(OF_CREDENTIAL),
        None if is_of(&format!("the job {} in org ", "0".repeat(24))) => Some(OF_SHRED),
        None if is_of("the job ") => Some(OF_JOB),
        None if is_of("the key slot") || is_of("the list of key slots") => Some(OF_SLOT),
        None if is_of("the store's header") || is_of("the sealed `store` row") => Some(OF_HEAD),
        None => None,
    }
}

/// What to do if the message of an error says that a row may be whole: a later release wrote it, or its key is gone.
/// What is done about damage would destroy it.
#[must_use]
pub fn next_of_whole(message: &str) -> Option<&'static str> {
    let says = |what: &str| message.contains(what);
    match says(", which this release cannot read") {
        true => Some(OF_LATER),
        false => says(", which its keyring does not list").then_some(OF_UNKNOWN_KEY),
    }
}

/// The same for a record that the service itself keeps, by its namespace.
fn of_record(namespace: &str) -> Option<&'static str> {
    Some(match namespace {
        "signing-key" => {
            "no session token can be checked or issued without it: `strongroom account end-sessions --all \
             --new-signing-key` replaces the key that signs them and ends all sessions"
        }
        "session" | "account-session" => {
            "`strongroom account end-sessions ID` ends the sessions of an account, and --all those of all accounts"
        }
        "api-key-use" => {
            "it says when the API key of this ID was last used: `strongroom verify --sweep --unreadable` deletes it, \
             and the next use writes it again"
        }
        "api-key-line" => {
            "it says that the API key of this ID and those it made make no more keys: `strongroom api-key revoke ID \
             --with-children` writes it again"
        }
        "api-key" => "`strongroom api-key list` names it, and `strongroom api-key revoke ID` deletes it",
        _ => return None,
    })
}

const OF_LATER: &str = "a later release wrote it and can read it: use that one, and delete nothing";
const OF_UNKNOWN_KEY: &str =
    "its key is gone, but it may be whole: `strongroom verify` looks for its keyring, and says what to do";
const UNFINISHED: &str = "`strongroom restore` of the same file with its --org finishes it, and `strongroom shred \
                          restore` deletes what it wrote";
const OF_ACCOUNT: &str = "`strongroom account delete ID --purge` deletes the account with all that is its own; a \
                          backup from before has it whole";
const OF_SHRED: &str = "if a shred of the environment was interrupted, `strongroom shred environment NAME` finishes \
                        it; otherwise a later release or a backup from before may read the job";
const OF_ORG: &str = "everything of the org in this environment is lost, unless a backup from before has it: \
                      `strongroom shred environment NAME` deletes what is left";
const OF_ACCOUNT_KEYRING: &str = "a server that still runs may have the keys: do not stop it, and `strongroom rotate \
                                  data --account ID --url URL` writes them again; otherwise the values and \
                                  credentials of the account are lost, unless a backup from before has them: \
                                  `strongroom account delete ID` deletes the account, and then `strongroom job retry \
                                  ID` lets a rotation go on";
const OF_ORG_KEYRING: &str = "a server that still runs may have the keys: do not stop it; `strongroom export --reveal \
                              --url URL` saves what it has, and then `strongroom rotate data --url URL` writes the \
                              keys again; otherwise everything of the org in this environment is lost, unless a \
                              backup from before has it: `strongroom shred environment NAME` deletes what is left, \
                              and then `strongroom job retry ID` lets a rotation go on";
const OF_APP: &str = "`strongroom account remove-app ID` with its --app deletes the app with its credentials; a backup \
                      from before has it whole";
const OF_CONNECTION: &str = "`strongroom account remove-app ID` with its --app and --connection deletes only that \
                             connection with its credentials; a backup from before has it whole";
const OF_CREDENTIAL: &str = "`strongroom credential undo KEY --replace-damaged` with its --account, --app and \
                             --connection sets the credential back, and `strongroom credential delete KEY --purge` \
                             deletes what is left of it";
const OF_JOB: &str = "`strongroom verify --sweep --unreadable` deletes the job; then `strongroom verify` names what it \
                      left to do, and a rotation is begun again";
const OF_SLOT: &str = "a slot or the store's header was damaged: try the key of another slot, with --root-key-file or \
                       --passphrase-file; if it opens the vault, `strongroom slot remove ID` deletes the slot; if none \
                       does, move the store away (of sqlite with its -wal and -shm), and `strongroom restore \
                       --replaces-original FILE` makes it again from a backup";
const OF_HEAD: &str = "no command repairs it: move the store away (of sqlite with its -wal and -shm), and \
                       `strongroom restore --replaces-original FILE` makes it again from a backup";

/// How each command begins.
const COMMAND: &str = "`strongroom ";
/// The commands that work on the whole vault, whatever the org and the environment.
const OF_VAULT: [&str; 5] = ["verify", "job", "backup", "restore", "slot"];
