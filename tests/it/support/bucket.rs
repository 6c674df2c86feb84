//! Two operators with one cloud and one bucket: folders of their own, the same embedded cloud, and
//! a bucket in it where both keep their state.

use super::{Folder, SMALL};
use kplan_model::{
    Address, Known, Object, ObjectStore as _, Owner, RemoteId, Resource, Secret, Wanted,
};
use kplan_providers::http::{Reqwest, Statistics, system_clock};
use kplan_providers::spaces::{
    Bucket, BucketArgs, Keys, LifecycleRule, SharedObjects, Spaces, SpacesConfig,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The bucket's name.
const NAME: &str = "acme-state";
/// By how much the times of the lock are divided: a run that is gone keeps others waiting for 15 s.
pub(crate) const LEASE_SCALE: &str = "20";

/// The smallest file, with its state at that address.
pub(crate) fn file_at(backend: &str) -> String {
    format!("{SMALL}\n[state]\nbackend = \"{backend}\"\n")
}

/// A bucket, and the keys of it.
pub(crate) struct Shared {
    /// Whose cloud it is in.
    pub(crate) first: Folder,
    keys: SpacesAccess,
}

/// A key that opens every bucket of a folder's cloud.
pub(crate) struct SpacesAccess {
    /// Its id.
    pub(crate) access_key: String,
    /// The key.
    pub(crate) secret_key: String,
    /// Where Spaces is.
    pub(crate) endpoint: String,
}

impl SpacesAccess {
    /// Made by the cloud's own API, as its control panel would.
    pub(crate) fn of(folder: &Folder) -> Self {
        let asked =
            json!({ "name": "state", "grants": [{ "bucket": "", "permission": "fullaccess" }] });
        let answer = folder.cloud("POST", "/v2/spaces/keys", Some(&asked));
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let start = body.find('{').expect("an object");
        let end = body.rfind('}').expect("an object");
        let body: Value = serde_json::from_str(&body[start..=end]).expect("an object");
        let half = |name: &str| body["key"][name].as_str().expect("a half").to_owned();
        Self {
            access_key: half("access_key"),
            secret_key: half("secret_key"),
            endpoint: folder.endpoint("spaces_url"),
        }
    }

    /// The objects of a bucket below a prefix.
    pub(crate) fn objects(&self, bucket: &str, prefix: &str) -> SharedObjects {
        SharedObjects::open(&self.spaces(), "fra1", bucket, prefix).expect("a client")
    }

    /// Every object of a bucket below a prefix, with its bytes.
    pub(crate) fn all(&self, bucket: &str, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let objects = self.objects(bucket, prefix);
        let listed = objects.list("", None).expect("a list").objects;
        let keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
        let bytes = objects.get_all(&keys).expect("an answer");
        let found = keys.into_iter().zip(bytes);
        found
            .map(|(key, bytes)| (key, bytes.expect("an object")))
            .collect()
    }

    /// Makes a bucket.
    pub(crate) fn make(&self, bucket: &str) {
        let args = named(bucket);
        let address: Address = "bucket.state".parse().expect("an address");
        let owner = Owner {
            cluster: "state".to_owned(),
            suffix: "00000000".to_owned(),
        };
        let permit = kplan_model::testing::permit(&address).expect("a permit");
        let wanted = Wanted {
            owner: &owner,
            address: &address,
            args: &args,
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let made = runtime.block_on(Bucket(self.spaces()).create(wanted, &permit));
        assert!(made.is_ok(), "the bucket was not made");
    }

    /// Changes a setting of a bucket by hand: `acl`, `versioning` or `lifecycle_rule`.
    pub(crate) fn set(&self, bucket: &str, setting: &str, value: &Value) {
        let mut args = named(bucket);
        match setting {
            "acl" => args.acl = value.as_str().map(str::to_owned),
            "versioning" => args.versioning = value.as_bool().expect("whether"),
            "lifecycle_rule" => {
                let rules = value.as_array().expect("rules").iter();
                args.lifecycle_rule = rules.map(rule).collect();
            }
            other => panic!("a bucket has no {other}"),
        }
        let known = known(bucket);
        let permit = kplan_model::testing::permit(&known.address).expect("a permit");
        let changed = [setting].into_iter().collect();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let resource = Bucket(self.spaces());
        let set = runtime.block_on(resource.update(&known, &args, &changed, &permit));
        assert!(set.is_ok(), "{bucket}: {setting} was not set");
    }

    /// What a bucket's setting is.
    pub(crate) fn setting(&self, bucket: &str, setting: &str) -> Value {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let resource = Bucket(self.spaces());
        let seen = runtime.block_on(Resource::read(&resource, &known(bucket)));
        let seen = seen.ok().flatten().expect("a bucket");
        match setting {
            "acl" => json!(seen.acl),
            "versioning" => json!(seen.versioning),
            "lifecycle_rule" => {
                let rules = seen.lifecycle_rule.iter();
                let shown = rules.map(|rule| {
                    json!({
                        "id": rule.id, "prefix": rule.prefix, "enabled": rule.enabled,
                        "expiration_days": rule.expiration_days,
                    })
                });
                shown.collect()
            }
            other => panic!("a bucket has no {other}"),
        }
    }

    fn spaces(&self) -> Spaces {
        Spaces::new(SpacesConfig {
            endpoint: Some(self.endpoint.clone()),
            keys: Some(Keys {
                access_key: self.access_key.clone(),
                secret_key: Secret::new(self.secret_key.clone()),
            }),
            transport: Arc::new(Reqwest::new().expect("a client")),
            statistics: Arc::new(Statistics::default()),
            now: system_clock(),
            scale: 1,
        })
    }
}

impl Shared {
    /// A folder whose file has its state in the bucket, its cloud, and the bucket in it.
    pub(crate) fn with(scale: f64) -> Self {
        let first = Folder::with("").scaled(scale);
        first.kplan(&["sandbox", "inspect", "--json"]).ok();
        let keys = SpacesAccess::of(&first);
        let shared = Self { first, keys };
        shared.keys.make(NAME);
        shared.first.write(&shared.file());
        shared
    }

    /// The smallest file, with its state in the bucket.
    pub(crate) fn file(&self) -> String {
        file_at(&self.backend())
    }

    /// The bucket's address.
    pub(crate) fn backend(&self) -> String {
        format!(
            "s3://{NAME}/clusters?region=fra1&endpoint={}",
            self.keys.endpoint
        )
    }

    /// Another folder, with the same file, cloud and identity: a colleague, or a runner.
    pub(crate) fn other(&self) -> Folder {
        let text = std::fs::read_to_string(self.first.path().join("cluster.toml"));
        let other = Folder::with(&text.expect("the file")).guest();
        let link = other.path().join(".kplan/.sandbox");
        std::fs::create_dir_all(&link).expect("a folder");
        let cloud = std::path::absolute(self.first.path().join(".kplan/.sandbox/cloud"));
        std::os::unix::fs::symlink(cloud.expect("a path"), link.join("cloud")).expect("a link");
        share_identity(self.first.home(), other.home());
        other
    }

    /// `kplan` in a folder, with the bucket's keys.
    pub(crate) fn command(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = folder.command(arguments);
        command
            .env("SPACES_ACCESS_KEY_ID", &self.keys.access_key)
            .env("SPACES_SECRET_ACCESS_KEY", &self.keys.secret_key)
            .env("KPLAN_STATE_LEASE_SCALE", LEASE_SCALE);
        command
    }

    /// The id of the bucket's key.
    pub(crate) fn access_key(&self) -> &str {
        &self.keys.access_key
    }

    /// The bucket's key.
    pub(crate) fn secret_key(&self) -> &str {
        &self.keys.secret_key
    }

    /// Every object in it below a prefix.
    pub(crate) fn all(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        self.keys.all(NAME, prefix)
    }

    /// Puts an object into the bucket.
    pub(crate) fn put(&self, key: &str, bytes: &'static [u8]) {
        let put = self.keys.objects(NAME, "").put_new(key, bytes);
        assert!(put.is_ok(), "{key} was not put");
    }
}

/// A bucket of that name, without settings.
fn named(bucket: &str) -> BucketArgs {
    BucketArgs {
        name: Some(bucket.to_owned()),
        name_prefix: None,
        region: "fra1".to_owned(),
        acl: None,
        versioning: false,
        lifecycle_rule: Vec::new(),
        force_destroy: false,
        access_key: None,
        secret_key: None,
    }
}

fn known(bucket: &str) -> Known {
    Known {
        address: "bucket.hand".parse().expect("an address"),
        id: RemoteId::new(format!("fra1/{bucket}")),
        args: Object::new(),
        attrs: Object::new(),
    }
}

fn rule(given: &Value) -> LifecycleRule {
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    LifecycleRule {
        id: text("id"),
        prefix: text("prefix"),
        enabled: given["enabled"] == true,
        expiration_days: given["expiration_days"]
            .as_u64()
            .and_then(|days| u32::try_from(days).ok()),
        noncurrent_version_expiration_days: None,
        abort_incomplete_multipart_upload_days: None,
    }
}

fn share_identity(from: &Path, to: &Path) {
    let file = ".config/kplan/identity";
    let Ok(identity) = std::fs::read(from.join(file)) else {
        return;
    };
    std::fs::create_dir_all(to.join(".config/kplan")).expect("a folder");
    let to = to.join(file);
    std::fs::write(&to, identity).expect("the identity");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&to, mode).expect("its mode");
}
