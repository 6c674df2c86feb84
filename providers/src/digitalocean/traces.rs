//! `cluster_traces`: what a destroy looked for. It stays on record until all of it was seen gone, so that
//! whoever runs destroy again is not told that nothing is left because nothing is on record any more.
//!
//! It is no resource: nothing is made, changed or destroyed by it.

use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, ObjectCodec as _,
    Permit, ProviderError, ReplaceOrder, Resource, Typical, Wanted, object,
};
use std::collections::BTreeMap;

object! {
    /// Something that was on record.
    pub struct Traced {
        /// Its address.
        pub address: String,
        /// Its id.
        pub id: String,
    }
}

object! {
    /// Something that was to stay.
    pub struct TracedKept {
        /// Its id.
        pub id: String,
        /// How it is told.
        pub told: String,
        /// What it costs a month, in cents, where that is known.
        pub monthly: Option<i64>,
    }
}

object! {
    /// What was looked for.
    pub struct TracesArgs {
        /// The cluster's own VPCs.
        pub vpcs: Vec<String>,
        /// What was on record and exists in the account.
        pub records: Vec<Traced>,
        /// Names that kplan gave, by what has them: `load balancer`.
        pub names: BTreeMap<String, Vec<String>>,
        /// What was to stay, and is on no record.
        pub kept: Vec<TracedKept>,
        /// Ids of what stood in the VPCs and was somebody else's.
        pub others: Vec<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::ignored("vpcs", "The cluster's own VPCs."),
    Field::ignored("records", "What was on record."),
    Field::ignored("names", "Names that kplan gave."),
    Field::ignored("kept", "What was to stay."),
    Field::ignored("others", "What stood in the VPCs and was somebody else's."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("cluster_traces"),
    terraform: "kplan_cluster_traces",
    doc: "What a `destroy` looked for, until all of it was seen gone. No plan shows it.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct CloudTraces;

fn only_recorded(address: &kplan_model::Address) -> ProviderError {
    let message = format!("{address} is nothing that could be made: destroy writes it down");
    ProviderError::new(ErrorKind::Bug, message)
}

impl Resource for CloudTraces {
    type Args = TracesArgs;
    type Attrs = TracesArgs;
    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<TracesArgs>, ProviderError> {
        Ok(Some(TracesArgs::from_object(&known.args)?))
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, TracesArgs>,
    ) -> Result<Vec<Found<TracesArgs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, TracesArgs>,
        _permit: &Permit,
    ) -> Result<Found<TracesArgs>, CreateFailed<TracesArgs>> {
        Err(only_recorded(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &TracesArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<TracesArgs, ProviderError> {
        Err(only_recorded(&known.address))
    }

    async fn delete(&self, known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Err(only_recorded(&known.address))
    }
}
