//! The rules that keep anything from being lost or made twice. A run always keeps all of them;
//! only tests can leave one out, to show that they notice.

/// One of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No changing call before its `Started` entry is durable.
    WriteAhead,
    /// What a create whose answer was lost has made is looked for and put on record.
    Adoption,
    /// A create is not sent again before it was looked for.
    LookBeforeRetry,
}

/// Which rules a run keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discipline {
    left_out: Option<Rule>,
}

impl Discipline {
    /// All rules but one.
    #[cfg(any(test, feature = "testing"))]
    pub fn without(rule: Rule) -> Self {
        Self {
            left_out: Some(rule),
        }
    }

    /// Whether the rule is kept.
    pub(crate) fn keeps(self, rule: Rule) -> bool {
        self.left_out != Some(rule)
    }
}
