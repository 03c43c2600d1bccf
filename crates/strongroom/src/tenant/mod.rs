//! One org in one environment: how its rows are read, opened, sealed and written.
//!
//! | noun | is |
//! |---|---|
//! | tenant | an org in one environment, with the engine that reads and writes it: [`Tenant`] |
//! | place | which row it is, with its key and its name: a [`Row`] |
//! | row | what the store holds there, at a revision: a [`Versioned`](crate::store::Versioned) |
//! | needs | the definitions and keyrings that a verb asks for, besides its own rows: [`Needs`] |
//! | view | those definitions and keyrings, from the same snapshot as the verb's rows: [`View`] |
//! | draft | the batch that a verb builds on a view: what it expects, writes and seals: [`Draft`] |
//! | attempt | how one try to commit a draft ended: landed, lost to another writer, or after a shred: [`Attempt`] |
//! | snapshot | whole ranges and every definition at one point in commit order: [`Snapshot`] |
//!
//! A verb reads its needs, decides on the view, builds a draft and commits it. If the attempt is lost it starts again,
//! without cached rows. A read starts again in the same way if a stale cached row may have caused its error.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod credential;
mod credential_search;
pub(crate) mod definition;
pub(crate) mod draft;
mod draft_keys;
pub(crate) mod event;
mod fetched;
pub(crate) mod former;
pub(crate) mod history;
pub(crate) mod indexed;
pub(crate) mod job;
mod leftovers;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod new_definitions;
pub(crate) mod new_value;
mod observing;
pub(crate) mod options;
pub(crate) mod pack;
pub(crate) mod quota;
mod read_run;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod value;
mod value_list;
pub(crate) mod variables;
pub(crate) mod view;

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::observer::{Call, Observed, Watched};
use crate::error::Error;
use crate::id::{Environment, OrgId};
use crate::keys::{OpenedRow, open_under_root};
use crate::model::Actor;
use crate::row::{Row, TenantId};

pub(crate) use account::{Loaded, Registration};
pub(crate) use check::{
    at_most, check_definition, check_length, check_scope, check_stored_definition, check_value,
};
pub use credential::NewCredential;
pub(crate) use credential::{ParsedAnswer, ParsedCredential};
pub(crate) use draft::{Attempt, Draft, Existing};
pub(crate) use former::DocumentRows;
pub(crate) use indexed::{GRANDFATHERED, INDEX_PAGE, IndexedValue};
pub(crate) use list::List;
pub(crate) use new_definitions::NewDefinitions;
pub use new_value::NewValue;
pub(crate) use new_value::{ValueRows, Writing};
use observing::Observing;
pub(crate) use options::Expiry;
pub use options::WriteOptions;
pub use record::RecordWrite;
pub(crate) use record::{RecordAccess, RecordAction};
pub(crate) use snapshot::{Rows, Snapshot, find_definition};
pub(crate) use value::ValuesRead;
pub(crate) use view::{Freshness, Needs, View, fresh_if_stale};

/// An org in one environment. Everything that a verb reads or writes goes through one.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: TenantId,
    /// On whose behalf its writes are made; `None` for the engine's own jobs too.
    pub(crate) actor: Option<Actor>,
    /// Whether its verbs are observed. Those that another verb calls are not.
    is_observed: bool,
}

impl Tenant {
    pub(crate) fn new(engine: Arc<Engine>, org: OrgId, environment: Environment) -> Self {
        Self::of(engine, TenantId::new(org, environment))
    }

    pub(crate) fn of(engine: Arc<Engine>, id: TenantId) -> Self {
        Self { engine, id, actor: None, is_observed: true }
    }

    /// The same tenant, with its writes made on behalf of `actor`.
    pub(crate) fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self.again() }
    }

    /// The same tenant for the engine's own jobs, which nobody asks for.
    pub(crate) fn without_actor(&self) -> Self {
        Self { actor: None, ..self.again() }
    }

    /// The same tenant for the verbs that a verb is made of, so that the host's call is observed only once.
    pub(crate) fn unobserved(&self) -> Self {
        Self { is_observed: false, ..self.again() }
    }

    /// The same tenant on another engine.
    pub(crate) fn on(&self, engine: Arc<Engine>) -> Self {
        Self { engine, ..self.again() }
    }

    fn again(&self) -> Self {
        let (engine, id, actor) = (Arc::clone(&self.engine), self.id.clone(), self.actor.clone());
        Self { engine, id, actor, is_observed: self.is_observed }
    }

    /// Runs a verb, and tells the observer how it ended. Without an observer it only runs the verb.
    pub(crate) fn observed<'w, F>(&'w self, call: Call<'w>, verb: F) -> Observing<'w, F> {
        Observing { verb, tenant: self, call, observed: None }
    }

    /// Tells the observer, if there is one, how the verb that runs from now on ended.
    pub(crate) fn observe<'w>(&'w self, call: Call<'w>) -> Observed<'w> {
        let watched = || Watched::begin(&self.engine, &self.id, self.actor.as_ref(), call);
        Observed(if self.is_observed { watched() } else { None })
    }

    /// Opens the bytes of a row that the root key seals.
    pub(crate) fn open_under_root(&self, place: &Row<'_>, bytes: &[u8]) -> Result<OpenedRow, Error> {
        open_under_root(&*self.engine.roots.get()?, &self.engine.store_id, place, bytes)
    }
}
