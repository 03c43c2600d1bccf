//! What to do about a finding of `verify`.

use strongroom::{Cause, Finding, Index, RowName};

/// What repairs such a finding, or takes it away, in the words of the command line.
#[must_use]
#[allow(clippy::wildcard_enum_match_arm, reason = "what nothing else repairs is in a backup")]
pub fn next_of(finding: &Finding) -> &'static str {
    if finding.is_stray() {
        return "`strongroom verify --sweep` deletes stray rows";
    }
    match (finding.path.row, &finding.cause) {
        (_, Cause::UnknownVersion(_)) => "a later release can read a row of a later version",
        (RowName::Definition, Cause::NotIndexed(Index::DefinitionName)) => {
            "`strongroom define NAME` finds a definition by its name and makes the index row again"
        }
        (RowName::Definition | RowName::DeletedDefinition | RowName::FormerDefinition, _)
        | (RowName::DefinitionName, Cause::Dangling) => {
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
            "`strongroom audit --drop-before TIME` writes the note of dropped events again; what it counted is then \
             told of the chains of events"
        }
        (RowName::AuditHead, Cause::Damaged(_) | Cause::UnknownKey(_)) => {
            "the next command that writes begins the head of the audit again"
        }
        (RowName::Event | RowName::ChainHead | RowName::AuditHead, _) => {
            "a gap in the audit is told until the events around it are dropped for their age with `strongroom audit \
             --drop-before TIME`; an earlier export or a backup may have what is missing"
        }
        _ => "a backup from before has all rows whole",
    }
}
