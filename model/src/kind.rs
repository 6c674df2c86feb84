//! `Kind` and the `FIELDS` table: what a provider tells the engine about one kind of resource.
//! Data, not code: one generic differ, the renderer, import and the reference docs all read it.

use crate::operation::OperationInfo;
use crate::snapshot::{Recorded, Status};
use crate::text::{Text, literal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The name of one kind of resource, such as `droplet`. The engine compares kinds and never knows
/// what one is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Text);

impl Kind {
    /// A kind known at compile time.
    pub const fn new(name: &'static str) -> Self {
        Self(literal(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Text> for Kind {
    fn from(name: Text) -> Self {
        Self(name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an in-place change does to what is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disruption {
    /// Nothing stops.
    None,
    /// A process is restarted.
    Restart,
    /// The machine is powered off and on.
    PowerOff,
}

/// What a `Monotonic` field does when its value would go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The resource is replaced.
    Replace,
    /// The change is refused with this reason.
    Refuse(&'static str),
}

/// What a `OneWay` field does for every change but the one it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The resource is replaced.
    Replace,
    /// The change is refused with this reason.
    Refuse(&'static str),
}

/// What changing a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The remote side can change it on the living resource.
    InPlace {
        /// What the change interrupts.
        disruption: Disruption,
    },
    /// Only a new resource can have another value.
    Replace,
    /// Grows in place (numbers by value, text by the numbers in it, else refused as down).
    Monotonic {
        /// What a smaller value means.
        down: Down,
    },
    /// Exactly one change is possible in place, such as IPv6 off to on.
    OneWay {
        /// The text form of the old value, such as `false`; of an object that of its only value.
        from: &'static str,
        /// The text form of the new value, such as `true`.
        to: &'static str,
        /// What any other change means.
        otherwise: Otherwise,
    },
    /// An object of which some parts can be changed in place; every other change of it is what
    /// `otherwise` says.
    InParts {
        /// The names of those parts.
        parts: &'static [&'static str],
        /// What a change of them interrupts.
        disruption: Disruption,
        /// What every other change means.
        otherwise: &'static Change,
    },
    /// Never changed after creation; the reason is shown.
    Refuse(&'static str),
    /// Sent when the resource is created, not compared afterwards.
    Ignored,
    /// Reported by the remote side; cannot be asked for.
    Computed,
}

/// How two values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Equal values.
    Exact,
    /// Lists as sets: order and repetition do not count.
    Set,
    /// Text without regard to case; lists as sets of such text.
    CaseFold,
    /// Network ranges by their meaning (`10.0.0.1/24` is `10.0.0.0/24`); lists as sets.
    Cidr,
    /// Kubernetes quantities by value (`1000m` is `1`).
    Quantity,
}

/// One field of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name in `Args` and `Attrs`; Terraform's name where it has one.
    pub name: &'static str,
    /// What changing it means.
    pub change: Change,
    /// How it is compared.
    pub compare: Compare,
    /// Whether the value is secret: shown as `(sensitive value)`, stored as ciphertext.
    pub secret: bool,
    /// Whether it refers to what the resource runs on: when a plan interrupts that one, it waits
    /// until this one was seen working again.
    pub runs_on: bool,
    /// Whether it says how the resource is reached: an address, a credential. Reading uses what
    /// the file's reference gives now, as what was used last may not lead anywhere any more.
    pub reaches: bool,
    /// The computed attributes that a change of it makes anew: what refers to them is planned to
    /// change as well.
    pub renews: &'static [&'static str],
    /// One sentence for the reference, the renderer and error messages.
    pub doc: &'static str,
}

impl Field {
    /// A field compared exactly that is not secret.
    pub const fn new(name: &'static str, change: Change, doc: &'static str) -> Self {
        Self {
            name,
            change,
            compare: Compare::Exact,
            secret: false,
            runs_on: false,
            reaches: false,
            renews: &[],
            doc,
        }
    }

    /// Changes on the living resource without interrupting anything.
    pub const fn in_place(name: &'static str, doc: &'static str) -> Self {
        Self::new(
            name,
            Change::InPlace {
                disruption: Disruption::None,
            },
            doc,
        )
    }

    /// Changes on the living resource, which is started again for it.
    pub const fn restarts(name: &'static str, doc: &'static str) -> Self {
        Self::new(
            name,
            Change::InPlace {
                disruption: Disruption::Restart,
            },
            doc,
        )
    }

    /// Forces replacement.
    pub const fn replace(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Change::Replace, doc)
    }

    /// Known after apply.
    pub const fn computed(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Change::Computed, doc)
    }

    /// Sent at creation, never compared.
    pub const fn ignored(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Change::Ignored, doc)
    }

    /// The same field compared another way.
    #[must_use]
    pub const fn by(mut self, compare: Compare) -> Self {
        self.compare = compare;
        self
    }

    /// The same field, secret.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same field, saying how the resource is reached.
    #[must_use]
    pub const fn reaches(mut self) -> Self {
        self.reaches = true;
        self
    }

    /// The same field, whose change makes these computed attributes anew.
    #[must_use]
    pub const fn renews(mut self, attributes: &'static [&'static str]) -> Self {
        self.renews = attributes;
        self
    }

    /// The same field, naming what the resource runs on.
    #[must_use]
    pub const fn runs_on(mut self) -> Self {
        self.runs_on = true;
        self
    }
}

/// Whether a replacement is made before the old resource goes, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceOrder {
    /// Delete, then create: names or addresses cannot exist twice.
    DeleteFirst,
    /// Create, then delete: both may exist for a while.
    CreateFirst,
}

/// Typical durations in seconds, for scheduling the longest path first and for showing what to
/// expect; never a timeout. The source of each number stands beside the kind that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typical {
    /// Seconds until a created resource is ready.
    pub create: u32,
    /// Seconds an update takes.
    pub update: u32,
    /// Seconds until a deleted resource is gone.
    pub delete: u32,
}

/// Everything the engine may know about a kind.
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// The kind.
    pub kind: Kind,
    /// Terraform's type name, such as `digitalocean_droplet`, for the plan JSON.
    pub terraform: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Every field of `Args` and `Attrs`.
    pub fields: &'static [Field],
    /// How it is replaced.
    pub replace: ReplaceOrder,
    /// Fields that make up what people would call the same thing: a delete and a create of one
    /// kind that agree on all of them is proposed as a move.
    pub identity: &'static [&'static str],
    /// What is lost for ever when one is destroyed (`Some("the data on it")`); such a kind is
    /// destroyed by `apply` only with `--allow-destroy ADDRESS`.
    pub holds: Option<&'static str>,
    /// Typical durations.
    pub typical: Typical,
    /// How many steps of this kind may run at once.
    pub max_parallel: usize,
    /// Fields in which one that goes and one that comes agree where the one is the other under a new
    /// name; empty where it costs nothing to make one anew.
    pub alike: &'static [&'static str],
    /// What the id of an existing one is, for who imports it, such as `the droplet's number`; `None`
    /// where nothing that exists could become one.
    pub import: Option<&'static str>,
    /// What is done before one is destroyed, in this order.
    pub operations: &'static [OperationInfo],
}

impl KindInfo {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The operation that was begun on a resource of this kind and cannot be undone, if one was: the
    /// resource is of no use any more.
    pub fn spent(&self, record: &Recorded) -> Option<&'static OperationInfo> {
        let mut begun = self
            .operations
            .iter()
            .filter(|info| record.operations.contains(info.name));
        begun.find(|info| info.undo.is_none())
    }

    /// How far one of this kind is to be counted on: what is spent is as good as tainted, although
    /// it still runs.
    pub fn standing(&self, record: &Recorded) -> Status {
        self.spent(record)
            .map_or(record.status, |_| Status::Tainted)
    }

    /// The fields that refer to what a resource of this kind runs on.
    pub fn runs_on(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.runs_on)
    }
}

/// Names of fields, ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeSet<String>);

impl FieldSet {
    /// Whether the field is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether any of the fields is in the set.
    pub fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.contains(name))
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>> FromIterator<S> for FieldSet {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}
