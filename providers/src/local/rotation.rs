//! `rotation`: since when what the nodes of a cluster hold has to be new. It is on record before
//! anything is made anew, so that whoever carries on after an interruption ends what was begun, and it
//! stays: a node that is made later begins with what is new.

use super::Made;
use super::kept::info;
use kplan_model::{Field, KindInfo, ProviderError, Timestamp};

kplan_model::object! {
    /// What is asked for, each in milliseconds since 1970; `None` where it was never made anew.
    pub struct RotationArgs {
        /// The leaf certificates of K3s.
        pub certificates: Option<i64>,
        /// The token agents join with.
        pub agent_token: Option<i64>,
        /// The token servers join with.
        pub server_token: Option<i64>,
        /// The password of K3s's user of a managed database.
        pub datastore_password: Option<i64>,
    }
}

kplan_model::object! {
    /// What is on record.
    pub struct RotationAttrs {
        /// When something was asked to be made anew last, in milliseconds since 1970.
        pub asked_at: i64,
    }
}

static FIELDS: &[Field] = &[
    Field::ignored(
        "certificates",
        "Since when the leaf certificates of K3s are new.",
    ),
    Field::ignored("agent_token", "Since when the token of agents is new."),
    Field::ignored("server_token", "Since when the token of servers is new."),
    Field::ignored(
        "datastore_password",
        "Since when the password of K3s's user of the database is new.",
    ),
    Field::computed("asked_at", "When something was asked to be made anew last."),
];

static INFO: KindInfo = info(
    ("rotation", "kplan_rotation"),
    "Since when what the nodes hold has to be new; `kplan rotate` writes it.",
    (FIELDS, &[]),
    None,
);

/// How it is made.
pub struct Rotation;

impl Made for Rotation {
    type Args = RotationArgs;
    type Attrs = RotationAttrs;
    const INFO: &'static KindInfo = &INFO;

    fn make(_args: &RotationArgs, now: Timestamp) -> Result<RotationAttrs, ProviderError> {
        Ok(RotationAttrs { asked_at: now.0 })
    }
}
