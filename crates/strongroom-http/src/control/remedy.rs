//! What to do about a finding of `verify`.

use strongroom::{Cause, Finding, Index, RowName};

/// What repairs such a finding, or takes it away, in the words of the command line.
#[must_use]
#[allow(clippy::wildcard_enum_match_arm, reason = "what nothing else repairs is in a backup")]
pub fn next_of(finding: &Finding) -> &'static str {
    match (finding.path.row, &finding.cause) {
        (RowName::ValueId | RowName::DefinitionValue, Cause::Dangling) => {
            "a value may be missing there: `strongroom undo NAME --replace-damaged` brings it back if versions of it \
             are kept, and a backup from before has it; `strongroom verify --sweep` deletes what led to it"
        }
        (RowName::ChainHead, _) if finding.is_stray() => {
            "events of this chain may be gone, which an export from before shows; `strongroom verify --sweep` deletes \
             the head"
        }
        _ if finding.is_stray() => "`strongroom verify --sweep` deletes stray rows",
        (_, Cause::UnknownVersion(_)) => "a later release can read a row of a later version",
        (RowName::Definition, Cause::NotIndexed(Index::DefinitionName)) => {
            "`strongroom define NAME` finds a definition by its name and makes the index row again"
        }
        (RowName::DefinitionName, Cause::Dangling) => {
            "a definition may be missing there: `strongroom undo ID --definition --replace-damaged` brings it back if \
             versions of it are kept; do not delete an ID that `strongroom list` shows"
        }
        (RowName::Definition | RowName::DeletedDefinition | RowName::FormerDefinition, _) => {
            "`strongroom undo ID --definition --replace-damaged` sets a definition back, and `strongroom delete ID \
             --definition --purge` deletes what is left of it"
        }
        (
            RowName::Value | RowName::DeletedValue | RowName::Credential | RowName::DeletedCredential,
            Cause::Damaged(_) | Cause::UnknownKey(_),
        ) => {
            "`undo --replace-damaged` sets a value or credential back, and `delete --purge` deletes what is left of it"
        }
        (RowName::FormerValue | RowName::FormerCredential, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            "`delete --purge` deletes a value or credential with all of its versions; a backup from before has it whole"
        }
        (RowName::AuditFloor, _) => {
            "`strongroom audit --drop-before TIME` writes the note of dropped events again; the chains that it \
             counted are then reported as incomplete"
        }
        (RowName::AuditHead, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            "the next command that writes begins the head of the audit again"
        }
        (RowName::LinkedAccount | RowName::Integration, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            OF_ACCOUNT
        }
        (RowName::Keyring, _) if finding.path.linked_account.is_some() => OF_ACCOUNT_KEYRING,
        (RowName::Keyring, _) => OF_ORG_KEYRING,
        (RowName::Record, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            finding.path.name.as_deref().and_then(of_record).unwrap_or(OF_HOST_RECORD)
        }
        (RowName::Slot, Cause::Damaged(_)) => {
            "`strongroom slot remove ID` deletes the slot, and `slot add` makes one"
        }
        (RowName::Event | RowName::ChainHead | RowName::AuditHead, _) => {
            "a gap in the audit is reported until the events around it are dropped for their age with `strongroom \
             audit --drop-before TIME`; an earlier export or a backup may have what is missing"
        }
        _ => "a backup from before has all rows whole",
    }
}

/// What repairs the row that the message of an error names first, or takes it away. `None` if the message does not
/// decide that.
#[must_use]
pub fn next_of_damage(message: &str) -> Option<&'static str> {
    let is_of = |row: &str| message.starts_with(row);
    match message.strip_prefix("the record in ") {
        Some(record) => record.split(' ').next().and_then(of_record),
        None if is_of("the keyring of linked account ") => Some(OF_ACCOUNT_KEYRING),
        None if is_of("the keyring in org ") => Some(OF_ORG_KEYRING),
        None if is_of("the row of linked account ") || is_of("the integration ") => Some(OF_ACCOUNT),
        None => None,
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
        "api-key-use" => "it says when an API key was last used, and is deleted when that key is revoked",
        "api-key" => "`strongroom api-key list` names it, and `strongroom api-key revoke ID` deletes it",
        _ => return None,
    })
}

const OF_ACCOUNT: &str = "`strongroom account delete ID --purge` deletes the account with all that is its own; a \
                          backup from before has it whole";
const OF_ACCOUNT_KEYRING: &str = "the values and credentials of the account are lost, unless a backup from before has \
                                  them: `strongroom account delete ID` deletes the account, and then `strongroom job \
                                  retry ID` lets a rotation go on";
const OF_ORG_KEYRING: &str = "everything of the org in this environment is lost, unless a backup from before has it: \
                              `strongroom shred environment NAME` deletes what is left, and then `strongroom job \
                              retry ID` lets a rotation go on";
const OF_HOST_RECORD: &str =
    "the program that keeps it can write it again or delete it; a backup from before has it";
