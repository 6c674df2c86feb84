//! Exit codes: one table, one exhaustive match.

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything as asked; with `--detailed-exitcode`, nothing would change.
    Ok,
    /// An error, or the plan was declined.
    Error,
    /// `--detailed-exitcode`: something would change.
    Changes,
    /// Some of the changes were made; run apply again to carry on.
    Partial,
    /// A saved plan no longer fits.
    StalePlan,
    /// Somebody else holds the state's lock, or took it over.
    Locked,
    /// A guard refused: protection, a missing consent, the plan's linter.
    Refused,
    /// Interrupted; everything done is recorded.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Partial => 3,
            Self::StalePlan => 4,
            Self::Locked => 5,
            Self::Refused => 6,
            Self::Interrupted => 130,
        }
    }
}
