//! A search through the credentials of all accounts. It reads the rows of some accounts at a time.

use crate::error::Error;
use crate::id::{AppId, ConnectionId, IntegrationId, LinkedAccountId};
use crate::model::{CredentialFilter, CredentialPlace, CursorError, Listing, PageRequest, Sought};
use crate::row::{TenantRow, parse_last_id};
use crate::store::{Key, KeyRange, Scan, Versioned};
use crate::tenant::{Freshness, List, Needs, Rows, Tenant, View, fresh_if_stale};

impl Tenant {
    /// A page of the places that match the filter, in the byte order of their accounts, integrations and key names.
    pub(crate) async fn credentials_where(
        &self,
        filter: &CredentialFilter,
        page: &PageRequest,
    ) -> Result<Listing<CredentialPlace>, Error> {
        let all = self.id.all_credentials();
        let list = List::new("credentials_where", &all);
        let after = page.place_in(list.id())?.map(|place| self.place_at(place)).transpose()?;
        let mut rest = self.id.accounts();
        if let Some(last) = &after {
            // Its account may have more.
            rest.start = self.id.account(&last.account).key().as_bytes().to_vec();
        }
        let mut items: Vec<CredentialPlace> = Vec::new();
        loop {
            let (accounts, more) = self.next_accounts(&mut rest, filter.accounts_at_once()).await?;
            let search = Search { tenant: self, filter, accounts: &accounts };
            let mut credentials = self.id.credentials_between(&accounts);
            loop {
                let (places, rest) =
                    fresh_if_stale(|freshness| search.places(&credentials, freshness)).await?;
                for place in places {
                    if after.as_ref().is_some_and(|last| place.sort_key() <= last.sort_key()) {
                        continue;
                    }
                    if items.len() == page.limit {
                        let next = items.last().map(|last| list.cursor(&self.key_at(last)));
                        return Ok(Listing { items, next });
                    }
                    items.push(place);
                }
                let Some(rest) = rest else { break };
                credentials = rest;
            }
            if !more {
                return Ok(Listing { items, next: None });
            }
        }
    }

    /// The next accounts that have a row, and whether more follow. The range is narrowed to what follows.
    async fn next_accounts(
        &self,
        rest: &mut KeyRange,
        at_once: usize,
    ) -> Result<(Vec<LinkedAccountId>, bool), Error> {
        let all = self.id.accounts();
        let page = self.engine.read(Scan::new(rest.clone(), at_once).keys_only()).await?;
        // Not the key of an account: `verify` reports it, and one such row does not hide the rest.
        let ids = page.rows.iter().filter_map(|(key, _)| parse_last_id::<LinkedAccountId>(&all, key));
        let accounts = ids.collect();
        // No rows end the list even if the store says `more`, so that a faulty store cannot keep the loop going.
        let Some((last, _)) = page.rows.last() else { return Ok((accounts, false)) };
        *rest = rest.clone().after(last.as_bytes());
        Ok((accounts, page.more))
    }

    /// The key of a credential, whether or not there is one.
    fn key_at(&self, place: &CredentialPlace) -> Key {
        self.id.credential(&place.account, &place.app(), &place.key_name).key()
    }

    fn place_at(&self, place: &[u8]) -> Result<CredentialPlace, Error> {
        let key = [self.id.all_credentials().start.as_slice(), place].concat();
        match self.id.parse_row(&key) {
            Some(TenantRow::Credential(account, app, key_name)) => {
                Ok(CredentialPlace::new(account.into_owned(), &app, key_name.into_owned()))
            }
            _ => Err(CursorError.into()),
        }
    }
}

/// A search in some accounts, which follow one another.
struct Search<'s> {
    tenant: &'s Tenant,
    filter: &'s CredentialFilter,
    accounts: &'s [LinkedAccountId],
}

/// The rows of some accounts, as they were at one point unless their integrations fill more than a page of the store.
struct Found<'s> {
    view: View<'s>,
    accounts: Rows,
    integrations: Rows,
    credentials: Rows,
    /// Where more credentials of these accounts are.
    rest: Option<KeyRange>,
}

impl<'s> Search<'s> {
    /// The places among `credentials`, and what is left of that range.
    async fn places(
        &self,
        credentials: &KeyRange,
        freshness: Freshness,
    ) -> Result<(Vec<CredentialPlace>, Option<KeyRange>), Error> {
        if self.accounts.is_empty() {
            return Ok((Vec::new(), None));
        }
        let owners: Vec<&LinkedAccountId> = match self.filter.sought {
            Sought::Missing(_) => Vec::new(),
            Sought::ExpiringBefore(_) => self.accounts.iter().collect(),
        };
        let mut found = self.read(&owners, credentials, freshness).await?;
        let rest = found.rest.take();
        let places = match &self.filter.sought {
            Sought::Missing(_) => self.missing(&found),
            Sought::ExpiringBefore(_) => self.expiring(&found),
        };
        Ok((places?, rest))
    }

    async fn read<'v>(
        &self,
        owners: &'v [&'v LinkedAccountId],
        credentials: &KeyRange,
        freshness: Freshness,
    ) -> Result<Found<'v>, Error> {
        let (tenant, ids) = (self.tenant, &self.tenant.id);
        let (accounts, integrations) =
            (ids.accounts_between(self.accounts), ids.integrations_between(self.accounts));
        let scan = |range: &KeyRange| Scan::new(range.clone(), SCAN_ROWS_MAX);
        let sought = match self.filter.sought {
            Sought::Missing(_) => scan(credentials).keys_only(),
            Sought::ExpiringBefore(_) => scan(credentials),
        };
        let needs = Needs::org_keys().accounts(owners).freshness(freshness);
        let scans = [scan(&accounts), scan(&integrations), sought];
        let (view, ([], [account_page, integration_page, page])) = tenant.read(&needs, ([], scans)).await?;
        let accounts = tenant.rest(&accounts, account_page).await?;
        let integrations = tenant.rest(&integrations, integration_page).await?;
        let (credentials, rest) = match self.filter.sought {
            // A missing key shows only once all keys are known; they are short.
            Sought::Missing(_) => (tenant.rest(credentials, page).await?, None),
            // One page at a time, so that the credentials of many accounts are not in memory at once.
            Sought::ExpiringBefore(_) => {
                let last = page.rows.last().filter(|_| page.more);
                let rest = last.map(|(last, _)| credentials.clone().after(last.as_bytes()));
                (page.rows, rest)
            }
        };
        Ok(Found { view, accounts, integrations, credentials, rest })
    }

    /// Opens only the rows of those accounts and connections that lack the credential.
    fn missing(&self, found: &Found<'_>) -> Result<Vec<CredentialPlace>, Error> {
        let (Sought::Missing(key_name), Some(integration)) = (&self.filter.sought, &self.filter.integration)
        else {
            return Ok(Vec::new());
        };
        let mut places = Vec::new();
        for account in self.accounts {
            let lacks = |app: &AppId| {
                row_at(&found.credentials, &self.tenant.id.credential(account, app, key_name).key()).is_none()
            };
            let lacking = match &self.filter.connection {
                Some(connection) => {
                    Some(AppId::of(integration, Some(connection))).filter(lacks).into_iter().collect()
                }
                None => self.connections_that(found, account, integration, lacks)?,
            };
            if !lacking.is_empty() && self.is_live(found, account)? {
                let place = |app| CredentialPlace::new(account.clone(), app, key_name.clone());
                places.extend(lacking.iter().map(place));
            }
        }
        Ok(places)
    }

    /// The connections of an account's integration that lack something; if it has none, the default one.
    fn connections_that(
        &self,
        found: &Found<'_>,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        lacks: impl Fn(&AppId) -> bool,
    ) -> Result<Vec<AppId>, Error> {
        let all = self.tenant.id.integrations(account);
        let (mut lacking, mut has_any) = (Vec::new(), false);
        for (key, row) in rows_in(&found.integrations, &self.tenant.id.connections(account, integration)) {
            let Some(app) = parse_last_id::<AppId>(&all, key) else { continue };
            if !lacks(&app) {
                has_any = true;
            } else if self.is_connected(found, account, &app, row)? {
                has_any = true;
                lacking.push(app);
            }
        }
        if !has_any {
            lacking.extend(Some(AppId::of(integration, None)).filter(lacks));
        }
        Ok(lacking)
    }

    fn expiring(&self, found: &Found<'_>) -> Result<Vec<CredentialPlace>, Error> {
        let mut places = Vec::new();
        for (key, row) in &found.credentials {
            let Some(place) = self.expiring_in(found, key, row)? else { continue };
            let app = self.tenant.id.integration(&place.account, &place.app()).key();
            let Some(row) = row_at(&found.integrations, &app) else { continue };
            if self.is_live(found, &place.account)?
                && self.is_connected(found, &place.account, &place.app(), row)?
            {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// The credential in a row, if it is one of those sought.
    fn expiring_in(
        &self,
        found: &Found<'_>,
        key: &Key,
        row: &Versioned,
    ) -> Result<Option<CredentialPlace>, Error> {
        let Sought::ExpiringBefore(moment) = self.filter.sought else { return Ok(None) };
        let Some(TenantRow::Credential(account, app, key_name)) = self.tenant.id.parse_row(key.as_bytes())
        else {
            // Not the key of a credential: `verify` reports it, and one such row does not hide the rest.
            return Ok(None);
        };
        // Nobody has read the keys of an account that was registered meanwhile, or of which only credentials are left.
        if !self.filter.is_about(&app) || self.accounts.binary_search(&account).is_err() {
            return Ok(None);
        }
        let opened = self.tenant.open_credential(&found.view, (&account, &app, &key_name), row)?;
        let Some(info) = opened.map(|credential| credential.info) else { return Ok(None) };
        let is_sought = info.metadata.expires_at().is_some_and(|at| at < moment);
        Ok(is_sought.then(|| {
            let place = CredentialPlace::new(account.into_owned(), &app, key_name.into_owned());
            CredentialPlace { info: Some(info), ..place }
        }))
    }

    /// Whether the account is there and not being deleted.
    fn is_live(&self, found: &Found<'_>, account: &LinkedAccountId) -> Result<bool, Error> {
        let Some(row) = row_at(&found.accounts, &self.tenant.id.account(account).key()) else {
            return Ok(false);
        };
        let known = self.tenant.open_account(&found.view, account, row)?;
        Ok(known.is_some_and(|known| known.body.deleting.is_none()))
    }

    /// Whether the connection in a row is not being deleted, and is in the state that the filter asks for.
    fn is_connected(
        &self,
        found: &Found<'_>,
        account: &LinkedAccountId,
        app: &AppId,
        row: &Versioned,
    ) -> Result<bool, Error> {
        let known = self.tenant.open_integration(&found.view, account, app, row)?;
        let Some(body) = known.map(|known| known.body).filter(|body| body.deleting.is_none()) else {
            return Ok(false);
        };
        Ok(match self.filter.sought {
            Sought::Missing(_) => true,
            Sought::ExpiringBefore(_) => {
                !self.filter.leaves_out.takes_away(body.refresh_state(self.tenant.engine.now()))
            }
        })
    }
}

impl CredentialFilter {
    /// How many accounts are read at once.
    fn accounts_at_once(&self) -> usize {
        match self.sought {
            Sought::Missing(_) => 500,
            // A read has room for this many keyrings.
            Sought::ExpiringBefore(_) => 64,
        }
    }
}

impl CredentialPlace {
    /// The sort key of a place: the order of the keys of the rows.
    fn sort_key(&self) -> (&str, &str, Option<&str>, &str) {
        let connection = self.connection.as_ref().map(ConnectionId::as_str);
        (self.account.as_str(), self.integration.as_str(), connection, self.key_name.as_str())
    }
}

/// The rows of a range.
fn rows_in<'r>(rows: &'r Rows, range: &KeyRange) -> &'r [(Key, Versioned)] {
    let start = rows.partition_point(|(key, _)| key.as_bytes() < range.start.as_slice());
    let end = range
        .end
        .as_ref()
        .map_or(rows.len(), |end| rows.partition_point(|(key, _)| key.as_bytes() < end.as_slice()));
    rows.get(start..end).unwrap_or_default()
}

fn row_at<'r>(rows: &'r Rows, key: &Key) -> Option<&'r Versioned> {
    let index = rows.binary_search_by(|(found, _)| found.cmp(key)).ok()?;
    rows.get(index).map(|(_, row)| row)
}

/// More credentials than these accounts usually have; if there are more, the rest is read page by page.
const SCAN_ROWS_MAX: usize = 8_192;
