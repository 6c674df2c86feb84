//! Releases as Helm keeps them: a Secret for every revision.

use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use serde_json::{Value, json};

use super::archive::Chart;
use super::client::Client;
use super::objects::Owner;
use super::{Pass, SECRETS};
use crate::kubernetes::object::{self, Object, set, text};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::write::Target;

const TYPE: &str = "helm.sh/release.v1";
/// Revisions that are kept. Source: Helm's default of `--history-max`.
const HISTORY: usize = 10;
/// Most bytes a recorded release may have unpacked: a damaged one must not fill the memory.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;

/// A revision of a release.
pub(super) struct Release {
    pub(super) revision: u64,
    pub(super) status: String,
    secret: Object,
}

/// What a revision is made of.
pub(super) struct Content<'a> {
    pub(super) chart: &'a Chart,
    pub(super) values: &'a Value,
    pub(super) manifest: &'a str,
}

/// All revisions of a release, oldest first. An empty namespace is every namespace, as the
/// controller asks.
fn revisions(pass: &Pass<'_>, namespace: &str, name: &str) -> Vec<Release> {
    let secrets = match namespace {
        "" => pass.all(SECRETS),
        namespace => pass.in_namespace(SECRETS, namespace),
    };
    let found = secrets.into_iter().filter(|secret| {
        text(secret, &["type"]) == Some(TYPE)
            && object::label(secret, "owner") == Some("helm")
            && object::label(secret, "name") == Some(name)
    });
    let mut all: Vec<Release> = found
        .filter_map(|secret| {
            let label = |key: &str| object::label(&secret, key).map(str::to_owned);
            Some(Release {
                revision: label("version")?.parse().ok()?,
                status: label("status")?,
                secret,
            })
        })
        .collect();
    all.sort_by_key(|release| release.revision);
    all
}

/// The highest revision; 0 where there is none.
pub(super) fn revision(pass: &Pass<'_>, namespace: &str, name: &str) -> u64 {
    let all = revisions(pass, namespace, name);
    all.last().map_or(0, |release| release.revision)
}

/// The newest revision.
pub(super) fn latest(pass: &Pass<'_>, owner: Owner<'_>) -> Option<Release> {
    revisions(pass, owner.namespace, owner.name).pop()
}

/// The newest revision that is deployed.
pub(super) fn deployed(pass: &Pass<'_>, owner: Owner<'_>) -> Option<Release> {
    let all = revisions(pass, owner.namespace, owner.name);
    all.into_iter()
        .rfind(|release| release.status == "deployed")
}

impl Release {
    /// What the revision records; null where it cannot be read.
    fn record(&self) -> Value {
        let read = || {
            let sealed = STANDARD
                .decode(text(&self.secret, &["data", "release"])?)
                .ok()?;
            let packed = STANDARD.decode(sealed).ok()?;
            let mut out = Vec::new();
            let mut decoder = GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED);
            decoder.read_to_end(&mut out).ok()?;
            serde_json::from_slice(&out).ok()
        };
        read().unwrap_or_default()
    }

    /// The objects it consists of, as YAML.
    pub(super) fn manifest(&self) -> String {
        let record = self.record();
        text(&record, &["manifest"]).unwrap_or_default().to_owned()
    }

    /// Gives the revision another status.
    ///
    /// # Errors
    /// With the API server's words.
    pub(super) fn mark(
        &self,
        client: &Client<'_, '_>,
        status: &str,
        description: &str,
    ) -> Result<(), String> {
        let mut record = self.record();
        set(&mut record, &["info", "status"], status);
        set(&mut record, &["info", "description"], description);
        let mut secret = Value::clone(&self.secret);
        set(&mut secret, &["metadata", "labels", "status"], status);
        set(&mut secret, &["data", "release"], seal(&record));
        let resource = secrets(client)?;
        client.update(at(&resource, &self.secret), secret)
    }

    fn remove(&self, client: &Client<'_, '_>) -> Result<(), String> {
        let resource = secrets(client)?;
        client.delete(at(&resource, &self.secret))
    }
}

fn secrets(client: &Client<'_, '_>) -> Result<Arc<ResourceType>, String> {
    let catalogue = client.pass().server.catalogue();
    catalogue
        .stored(SECRETS)
        .ok_or_else(|| "the cluster serves no secrets".to_owned())
}

fn at<'r>(resource: &'r ResourceType, secret: &'r Value) -> Target<'r> {
    super::client::place(resource, secret, "")
}

/// A record as `data.release` holds it: compressed, in Base64, in Base64 again as all of `data`.
fn seal(record: &Value) -> String {
    let text = record.to_string();
    let mut packed = Vec::new();
    // Reading from memory does not fail.
    drop(GzEncoder::new(text.as_bytes(), Compression::best()).read_to_end(&mut packed));
    STANDARD.encode(STANDARD.encode(packed))
}

/// Writes the next revision as pending. Of the older ones as many are kept as Helm keeps.
///
/// # Errors
/// With the API server's words: no such namespace, say, or a release that is too large.
pub(super) fn begin(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    content: &Content<'_>,
    pending: &str,
) -> Result<Release, String> {
    let pass = client.pass();
    let old = revisions(pass, owner.namespace, owner.name);
    let surplus = (old.len() + 1).saturating_sub(HISTORY);
    let deployed = old.iter().rposition(|release| release.status == "deployed");
    for (index, release) in old.iter().enumerate().take(surplus) {
        if Some(index) != deployed {
            release.remove(client)?;
        }
    }
    let revision = old.last().map_or(0, |release| release.revision) + 1;
    let now = pass.server.clock.now();
    let first = old.first().map(Release::record);
    let first =
        first.and_then(|record| text(&record, &["info", "first_deployed"]).map(str::to_owned));
    let record = json!({
        "name": owner.name, "namespace": owner.namespace, "version": revision,
        "info": {"first_deployed": first.unwrap_or_else(|| now.to_string()),
            "last_deployed": now.to_string(), "deleted": "", "status": pending,
            "description": ""},
        "chart": content.chart.recorded(), "config": content.values,
        "manifest": content.manifest, "apply_method": "ssa",
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE,
        "metadata": {
            "name": format!("sh.helm.release.v1.{}.v{revision}", owner.name),
            "namespace": owner.namespace,
            "labels": {"name": owner.name, "owner": "helm", "status": pending,
                "version": revision.to_string(), "modifiedAt": now.as_second().to_string()},
        },
        "data": {"release": seal(&record)},
    });
    let resource = secrets(client)?;
    client
        .create(at(&resource, &secret), secret.clone())
        .map_err(|why| format!("create: failed to create: {why}"))?;
    latest(pass, owner).ok_or_else(|| "release: not found".to_owned())
}

/// Marks every other revision that is deployed as superseded.
///
/// # Errors
/// With the API server's words.
pub(super) fn supersede(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    newest: u64,
) -> Result<(), String> {
    for release in revisions(client.pass(), owner.namespace, owner.name) {
        if release.revision != newest && release.status == "deployed" {
            release.mark(client, "superseded", "Upgrade complete")?;
        }
    }
    Ok(())
}

/// Removes all revisions.
///
/// # Errors
/// With the API server's words.
pub(super) fn purge(client: &Client<'_, '_>, owner: Owner<'_>) -> Result<(), String> {
    for release in revisions(client.pass(), owner.namespace, owner.name) {
        release.remove(client)?;
    }
    Ok(())
}
