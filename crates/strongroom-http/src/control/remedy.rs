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
        (RowName::AuditFloor, _) => {
            "`strongroom audit --drop-before TIME` writes the note of dropped events again; the chains that it \
             counted are then reported as incomplete"
        }
        (RowName::AuditHead, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            "the next command that writes begins the head of the audit again"
        }
        (RowName::LinkedAccount | RowName::Integration, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            "`strongroom account delete ID --purge` deletes the account with all that is its own; a backup from before \
             has it whole"
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
