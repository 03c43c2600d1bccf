//! What a person has to agree to before a command begins again.

/// What a command is to do that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// Such as "delete the value of A".
    pub(crate) what: String,
    /// What tells its object from another one of the same name, and from what it is after a change.
    pub(crate) seen: String,
}

impl Deed {
    /// `seen` is of the object as it was read for the question: an id and a revision.
    pub(crate) fn to(what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { what: what.into(), seen: seen.into() }
    }

    /// With something more that it does.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.what.push_str(", and ");
        self.what.push_str(more);
        self
    }
}

/// Of an object whose name is all that it is.
impl<T: AsRef<str> + ?Sized> From<&T> for Deed {
    fn from(what: &T) -> Self {
        Self::to(what.as_ref(), "")
    }
}
