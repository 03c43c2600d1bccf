//! Names of definitions in findings: the address of a row has an id, but to act on a finding one needs the name.

use std::collections::HashMap;

use super::Verification;
use super::report::Finding;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::row::{TenantId, TenantRow, decode_index};

impl Verification<'_> {
    /// Names the definitions of all findings as the index has them, by which verbs find a definition too.
    pub(super) async fn name_definitions(&mut self) -> Result<(), Error> {
        let mut tenants: Vec<TenantId> = Vec::new();
        for finding in self.report.findings.iter().chain(&self.report.questions) {
            let tenant = unnamed(finding).map(|(tenant, _)| tenant);
            tenants.extend(tenant.filter(|tenant| !tenants.contains(tenant)));
        }
        for tenant in tenants {
            // The rows of a locked org were not checked, and are not read for their names either.
            if self.engine.refuse_locked_tenant(&tenant).is_err() {
                continue;
            }
            let names = self.names_of(&tenant).await?;
            for finding in self.report.findings.iter_mut().chain(&mut self.report.questions) {
                if let Some((_, id)) = unnamed(finding).filter(|(of, _)| *of == tenant) {
                    finding.path.definition_name = names.get(&id).cloned();
                }
            }
        }
        Ok(())
    }

    async fn names_of(&self, tenant: &TenantId) -> Result<HashMap<DefinitionId, String>, Error> {
        let (mut names, mut range) = (HashMap::new(), tenant.definition_names());
        loop {
            let page = self.engine.scan(range.clone(), PAGE_ROWS).await?;
            for (key, row) in &page.rows {
                let Some(TenantRow::DefinitionName(name)) = tenant.parse_row(key.as_bytes()) else {
                    continue;
                };
                let id = decode_index(&row.value).ok().and_then(DefinitionId::from_bytes);
                names.extend(id.map(|id| (id, name.to_string())));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => range = range.after(last.as_bytes()),
                _ => return Ok(names),
            }
        }
    }
}

/// The definition that a finding is about, if its name is not known.
fn unnamed(finding: &Finding) -> Option<(TenantId, DefinitionId)> {
    let path = &finding.path;
    let tenant = TenantId::new(path.org?, path.environment.clone()?);
    path.definition_id.filter(|_| path.definition_name.is_none()).map(|id| (tenant, id))
}

const PAGE_ROWS: usize = 1_000;
