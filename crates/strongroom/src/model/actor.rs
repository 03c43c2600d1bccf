//! The actor on whose behalf a handle acts.

use std::str::FromStr;

use crate::id::{ActorName, IdError, RequestId};

/// The actor on whose behalf a handle acts: [`Org::acting_as`](crate::Org::acting_as).
///
/// ```
/// use strongroom::Actor;
/// let actor: Actor = "user:alice".parse()?;
/// let in_request = actor.in_request("req-17".parse()?);
/// assert_eq!(in_request.name().as_str(), "user:alice");
/// # Ok::<(), strongroom::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    name: ActorName,
    request_id: Option<RequestId>,
}

impl Actor {
    /// An actor with this name.
    #[must_use]
    pub fn new(name: ActorName) -> Self {
        Self { name, request_id: None }
    }

    /// The same actor in one request.
    #[must_use]
    pub fn in_request(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    /// The name of the actor.
    #[must_use]
    pub fn name(&self) -> &ActorName {
        &self.name
    }

    /// The request; `None` if the host named none.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }
}

impl FromStr for Actor {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        name.parse().map(Self::new)
    }
}
