//! `velero_source`: the bucket of another cluster, as a second place in which Velero finds backups,
//! for as long as this cluster is made as a copy of that one.
//!
//! Nothing is backed up into it or deleted from it: its location is read-only. That does not keep a
//! restore from writing its log and the state of its volumes beside the backup, and Velero 1.17 does
//! not end a restore with volumes where it cannot (`restore_operations_controller.go`), so the key has
//! to be one that writes. What a restore wrote goes with it, and the restore goes before its location.

use super::bundle::Target;
use super::kind::{Applied, BundleKind, bundle_fields};
use super::object::{Object, Type};
use super::velero::{NAMESPACE, Place, credentials, storage_location};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use kplan_model::{
    ErrorKind, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical,
};
use serde_json::Value;
use std::time::Duration;

/// The location's name.
pub const LOCATION: &str = "source";
/// The Secret with its key.
const CREDENTIALS: &str = "kplan-source-credentials";
const API: &str = "velero.io/v1";
/// On what Velero found in a location.
const FOUND_IN: &str = "velero.io/storage-location";
/// What Velero makes of a bucket it looked into.
const FOUND: [&str; 2] = ["Backup", "BackupRepository"];
/// How often what was found is looked for, until nothing is left of it.
const LOOKS: u32 = 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

kplan_model::object! {
    /// What is asked for.
    pub struct VeleroSourceArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The bucket.
        pub bucket: String,
        /// The folder in it.
        pub prefix: Option<String>,
        /// The bucket's region.
        pub region: String,
        /// The storage's address.
        pub endpoint: String,
        /// The id of the bucket's key.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place("bucket", "The other cluster's bucket."),
    Field::in_place("prefix", "The folder in the bucket."),
    Field::in_place("region", "The bucket's region."),
    Field::in_place("endpoint", "The storage's address."),
    Field::in_place("access_key", "The id of the bucket's key."),
    Field::in_place("secret_key", "The bucket's key.").secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("velero_source"),
    terraform: "kplan_velero_source",
    doc: "The bucket of the cluster that this one is made as a copy of, while it is.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Velero looks at a new location at once.
    typical: Typical {
        create: 10,
        update: 10,
        delete: 5,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct VeleroSource;

impl BundleKind for VeleroSource {
    type Args = VeleroSourceArgs;

    const INFO: &'static KindInfo = &INFO;
    const YIELDS: bool = false;

    fn access(args: &VeleroSourceArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &VeleroSourceArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let place = Place {
            bucket: &args.bucket,
            prefix: args.prefix.as_deref(),
            region: &args.region,
            endpoint: &args.endpoint,
        };
        Ok(vec![
            credentials(CREDENTIALS, &args.access_key, &args.secret_key)?,
            storage_location(LOCATION, &place, CREDENTIALS, true),
        ])
    }

    /// What Velero found there is forgotten, which touches nothing in the bucket. The location goes
    /// first: as long as it is there, Velero finds everything anew.
    async fn before_delete(to: &Target<'_>, _args: &VeleroSourceArgs) -> Result<(), ProviderError> {
        let location = Object::new(API, "BackupStorageLocation", Some(NAMESPACE), LOCATION);
        to.session.delete(to.permit, &location).await?;
        for _ in 0..LOOKS {
            let mut left = 0;
            for kind in FOUND {
                let labels = format!("{FOUND_IN}={LOCATION}");
                for value in to
                    .session
                    .list(&Type::new(API, kind), &labels)
                    .await?
                    .iter()
                {
                    left += 1;
                    to.session.delete(to.permit, &Object::of(value)?).await?;
                }
            }
            if left == 0 {
                return Ok(());
            }
            to.kubernetes.pause(PAUSE).await;
        }
        let message = "Velero does not forget the backups of the other cluster";
        Err(ProviderError::new(ErrorKind::Busy, message)
            .help("`kubectl -n velero get backups` shows what is left; the next apply goes on"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl ArtifactSource for Nothing {
        fn bytes<'a>(
            &'a self,
            _: &'a crate::artifacts::ArtifactRef,
        ) -> kplan_model::BoxFuture<'a, Result<bytes::Bytes, ProviderError>> {
            unreachable!("a location needs no artifact")
        }

        fn digest<'a>(
            &'a self,
            _: &'a crate::artifacts::ArtifactRef,
        ) -> kplan_model::BoxFuture<'a, Result<String, ProviderError>> {
            unreachable!("a location needs no artifact")
        }
    }

    #[tokio::test]
    async fn it_is_only_read_is_not_the_default_and_has_a_key_of_its_own() {
        let args = VeleroSourceArgs {
            access: Input::Known(Access {
                server: String::new(),
                server_ca: String::new(),
                client_ca: String::new(),
                client_ca_key: Secret::new("key"),
            }),
            objects: Applied,
            bucket: "first-backup".to_owned(),
            prefix: None,
            region: "fra1".to_owned(),
            endpoint: "https://fra1.digitaloceanspaces.com".to_owned(),
            access_key: Input::Known("id".to_owned()),
            secret_key: Input::Known(Secret::new("key")),
        };
        let objects = VeleroSource::objects(&args, &Nothing).await.unwrap();
        let [secret, location] = &objects[..] else {
            panic!("{objects:?}")
        };
        assert_eq!(secret["metadata"]["name"], CREDENTIALS);
        let spec = &location["spec"];
        assert_eq!(spec["accessMode"], "ReadOnly");
        assert_eq!(spec["credential"]["name"], CREDENTIALS);
        assert_eq!(spec["objectStorage"]["bucket"], "first-backup");
        assert!(spec.get("default").is_none());
    }
}
