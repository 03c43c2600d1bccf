//! What a person has to agree to before a command begins again.

/// An action of a command that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// Such as "delete the value of A".
    pub(crate) what: String,
    /// Identifies its object, as opposed to another one of the same name or a changed one.
    pub(crate) seen: String,
}

impl Deed {
    /// `seen` identifies the object as it was read for the question: an id and a revision.
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

/// For an object that is identified only by its name.
impl<T: AsRef<str> + ?Sized> From<&T> for Deed {
    fn from(what: &T) -> Self {
        Self::to(what.as_ref(), "")
    }
}
