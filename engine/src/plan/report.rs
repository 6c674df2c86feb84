//! `PlanReport`: what the plan does not do, and what it waits for.

use kplan_model::{Address, ProviderError};
use std::fmt;

/// Why something that would have to be done is not in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It could not be read, so nothing is known about it.
    Unreadable(ProviderError),
    /// It depends on, or is depended on by, something that could not be read.
    WaitsFor(Address),
    /// It is outside `--target`.
    NotTargeted,
    /// `destroy` leaves it, as it is marked `keep`.
    Kept,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "could not be read: {error}"),
            Self::WaitsFor(address) => write!(f, "waits for {address}, which could not be read"),
            Self::NotTargeted => f.write_str("is outside the targets given"),
            Self::Kept => f.write_str("is kept"),
        }
    }
}

/// Something that is not in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDone {
    /// The resource.
    pub address: Address,
    /// Why.
    pub why: WhyNot,
}

/// A member of a group that cannot wait for its turn: more of the group are down at once than it
/// asks for, as dependencies leave no other order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// The group's name.
    pub group: String,
    /// How many of it may change at once.
    pub max_parallel: u32,
    /// What goes down early.
    pub address: Address,
    /// What is made only after that, of the member that it should have waited for.
    pub needed_by: Address,
}

impl fmt::Display for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "more than {} of group `{}` are down at once: {} cannot wait for {}, which is made \
             only after it",
            self.max_parallel, self.group, self.address, self.needed_by
        )
    }
}

/// What the plan does not do. Whoever shows the plan must show this with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a plan without its report looks complete when it is not"]
pub struct PlanReport {
    /// What was left out, in address order.
    pub not_done: Vec<NotDone>,
    /// Fields that hold a sealed secret and could not be compared.
    pub not_compared: Vec<(Address, String)>,
    /// What a destroy takes although it could not be read, and why it could not.
    pub not_read: Vec<(Address, ProviderError)>,
    /// Dependencies on record that were left out because they would close a circle: a resource
    /// and what it depended on when it was last applied. An edit that turned dependencies round
    /// and was cut off leaves such.
    pub circles: Vec<(Address, Address)>,
    /// Members of groups that do not wait for their turn, by group. Never more than the group
    /// can do without.
    pub together: Vec<Together>,
}

impl PlanReport {
    /// Whether something could not be read: the plan is not the whole truth.
    pub fn is_partial(&self) -> bool {
        self.unread() > 0
    }

    /// How many resources were left out because they, or what they wait for, could not be read.
    pub fn unread(&self) -> usize {
        let unread = |why: &WhyNot| matches!(why, WhyNot::Unreadable(_) | WhyNot::WaitsFor(_));
        let left_out = self.not_done.iter();
        left_out.filter(|item| unread(&item.why)).count()
    }
}
