//! The values that are read: orgs of 50 definitions and 1,030 values each.
//!
//! Of the definitions of an org a third has a value at the org alone, a third also at 20 accounts, and a third at 20
//! accounts and 20 workflows.

/// How many orgs there are, each with the same 1,030 values.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// The number of orgs.
    pub orgs: usize,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the org.
    Org,
    /// At the account of this number.
    Account(usize),
    /// At the workflow of this number.
    Workflow(usize),
}

/// One look-up: a definition, as a run of an account and a workflow sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The number of the org.
    pub org: usize,
    /// The number of the account.
    pub account: usize,
    /// The number of the workflow.
    pub workflow: usize,
    /// The number of the definition.
    pub definition: usize,
}

impl Population {
    /// About `values` values, rounded to whole orgs.
    #[must_use]
    pub fn of_values(values: usize) -> Self {
        Self { orgs: values.div_ceil(1_030).max(1) }
    }

    /// Every value of one org: where, and of which definition.
    pub fn values(self) -> impl Iterator<Item = (Place, usize)> {
        (0..DEFINITIONS).flat_map(|definition| {
            let accounts = if definition < ORG_ONLY { 0 } else { ACCOUNTS };
            let workflows = if definition < ORG_AND_ACCOUNT { 0 } else { WORKFLOWS };
            let org = std::iter::once(Place::Org);
            let places =
                org.chain((0..accounts).map(Place::Account)).chain((0..workflows).map(Place::Workflow));
            places.map(move |place| (place, definition))
        })
    }

    /// 4,096 look-ups all over the population, the same ones every time.
    #[must_use]
    pub fn requests(self) -> Vec<Request> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = move |limit: usize| {
            // xorshift64: which rows are read matters little, that both sides read the same ones does.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        let request = |_| Request {
            org: below(self.orgs),
            account: below(ACCOUNTS),
            workflow: below(WORKFLOWS),
            definition: below(DEFINITIONS),
        };
        (0..4_096).map(request).collect()
    }
}

impl Request {
    /// Where a resolver looks, most specific first.
    #[must_use]
    pub fn places(&self) -> [Place; 3] {
        [Place::Workflow(self.workflow), Place::Account(self.account), Place::Org]
    }
}

/// Definitions of an org.
pub const DEFINITIONS: usize = 50;
/// Definitions below this number have a value at the org alone.
pub const ORG_ONLY: usize = 17;
/// Definitions below this number, and from [`ORG_ONLY`] on, have values at the org and at accounts.
pub const ORG_AND_ACCOUNT: usize = 34;
/// Accounts of an org.
pub const ACCOUNTS: usize = 20;
/// Workflows of an org.
pub const WORKFLOWS: usize = 20;
/// Every value: 64 bytes.
pub const VALUE: &str = "https://api.example.com/v1/things?token=0123456789abcdef01234567";
