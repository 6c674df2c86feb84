//! What is written: versioned types apart from the domain's, and the conversions both ways. The
//! matches are exhaustive, so a change of the domain is a compile error here and becomes a
//! decision about the format. Format 1 is held by the files in `tests/fixtures/v1`.

pub(crate) mod batch;
pub(crate) mod event;
pub(crate) mod framed;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod tree;
pub(crate) mod value;

/// The format this kplan writes, and the newest it reads.
pub(crate) const FORMAT: u32 = 1;

/// A stored text does not mean what its place requires. The caller adds the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
