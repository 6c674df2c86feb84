//! `restore_request`: that a cluster is being restored, and from what. It is on record before anything
//! is made, so that whoever carries on after an interruption restores too, instead of letting Argo CD
//! fill the empty cluster.

use super::Made;
use super::kept::info;
use kplan_model::{Change, Field, KindInfo, ProviderError, Secret, Timestamp};

kplan_model::object! {
    /// Another cluster's bucket, from which this one is made as a copy.
    pub struct RestoreSource {
        /// The other cluster's name.
        pub cluster: String,
        /// The bucket.
        pub bucket: String,
        /// The folder in it.
        pub prefix: Option<String>,
        /// The bucket's region.
        pub region: String,
        /// The storage's address.
        pub endpoint: String,
        /// The id of the bucket's key; `None` in Spaces of this account, where kplan makes one.
        pub access_key: Option<String>,
        /// The key, where there is one.
        pub secret_key: Option<Secret>,
    }
}

kplan_model::object! {
    /// A snapshot of etcd, as it was in the bucket when the restore was agreed to.
    pub struct EtcdSnapshot {
        /// The object.
        pub key: String,
        /// Its size in bytes.
        pub size: i64,
        /// The SHA-256 of its bytes, in hexadecimal digits.
        pub sha256: String,
    }
}

kplan_model::object! {
    /// What is asked for.
    pub struct RestoreRequestArgs {
        /// The backup's name; that of the snapshot, where there is one.
        pub backup: String,
        /// Namespaces that are left out, besides those kplan makes itself.
        pub excluded_namespaces: Vec<String>,
        /// Whether a restore that lacks something is good enough.
        pub accept_partial: bool,
        /// The snapshot of etcd to begin from, instead of a backup.
        pub snapshot: Option<EtcdSnapshot>,
        /// Where the backup is, if not in the cluster's own bucket.
        pub source: Option<RestoreSource>,
    }
}

kplan_model::object! {
    /// What is on record.
    pub struct RestoreRequestAttrs {
        /// The backup's name.
        pub backup: String,
    }
}

static FIELDS: &[Field] = &[
    Field::new("backup", Change::Replace, "The backup's name."),
    Field::new(
        "excluded_namespaces",
        Change::Replace,
        "Namespaces that are left out.",
    ),
    Field::new(
        "accept_partial",
        Change::Replace,
        "Whether a restore that lacks something is good enough.",
    ),
    Field::new(
        "snapshot",
        Change::Replace,
        "The snapshot of etcd to begin from, instead of a backup.",
    ),
    Field::new(
        "source",
        Change::Replace,
        "The bucket of another cluster, of which this one is made as a copy.",
    )
    .secret(),
];

static INFO: KindInfo = info(
    ("restore_request", "kplan_restore_request"),
    "That the cluster is being restored, until it was.",
    (FIELDS, &[]),
    None,
);

/// How it is made.
pub struct RestoreRequest;

impl Made for RestoreRequest {
    type Args = RestoreRequestArgs;
    type Attrs = RestoreRequestAttrs;
    const INFO: &'static KindInfo = &INFO;

    fn make(
        args: &RestoreRequestArgs,
        _now: Timestamp,
    ) -> Result<RestoreRequestAttrs, ProviderError> {
        Ok(RestoreRequestAttrs {
            backup: args.backup.clone(),
        })
    }
}
