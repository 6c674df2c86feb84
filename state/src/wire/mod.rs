//! What is written: versioned types apart from the domain's, and the conversions both ways. The
//! matches are exhaustive, so a change of the domain is a compile error here and becomes a
//! decision about the format. What each format meant is held by the files in `tests/fixtures`.

pub(crate) mod batch;
pub(crate) mod event;
pub(crate) mod framed;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod tree;
pub(crate) mod value;

/// The format this kplan writes, and the newest it reads. 2: operations, on records and in the
/// journal.
pub(crate) const FORMAT: u32 = 2;
/// The oldest format it reads. Whatever an older one says, the wire types say, too.
pub(crate) const OLDEST: u32 = 1;

/// Whether this kplan reads a format; the error says why not.
pub(crate) fn check(format: u32) -> Result<(), WrongFormat> {
    match format {
        OLDEST..=FORMAT => Ok(()),
        0 => Err(WrongFormat::Never(format)),
        _ => Err(WrongFormat::Newer(format)),
    }
}

/// A format that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongFormat {
    /// A newer kplan wrote it.
    Newer(u32),
    /// Nobody ever wrote it.
    Never(u32),
}

impl WrongFormat {
    /// What to say of something that has it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Newer(format) => {
                format!("it has format {format}, and this kplan reads formats up to {FORMAT}")
            }
            Self::Never(format) => format!("there never was a format {format}"),
        }
    }
}

/// A stored text does not mean what its place requires. The caller adds the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
