//! `velero_restore`: brings back what was in a cluster from one of its backups, before anything else
//! fills it.
//!
//! Velero never overwrites what is there (its "Restore Reference"), so this comes before Argo CD: a
//! claim that GitOps made first would stay empty. What kplan made itself is left out by its label.

use super::bundle::OWNER;
use super::connect::{Kubernetes, Role};
use super::object::{Object, Type};
use super::session::{Items, Ownership, Session};
use super::velero::NAMESPACE;
use crate::k3s::access::Access;
use crate::k3s::pki::secret::sha256_hex;
use kplan_model::{
    Change, CreateFailed, ErrorKind, Field, FieldSet, Found, FoundAs, Input, Kind, KindInfo, Known,
    ObjectCodec as _, Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Typical,
    Wanted,
};
use serde_json::{Value, json};
use std::time::Duration;

const API: &str = "velero.io/v1";
/// The rules that change objects on their way.
const MODIFIERS: &str = "kplan-restore";
/// How often the backup is looked for: Velero reads the bucket once a minute.
const LOOKS: u32 = 60;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// How many claims a message names.
const NAMED: usize = 3;
/// Characters the value of a label may have.
const LABEL: usize = 63;
/// On the rules: the backup of which an earlier attempt brought back a part. Velero does not touch
/// what is there, so a later attempt that calls itself complete is not.
const PARTIAL: &str = "kplan.dev/partial";
/// Namespaces that kplan and K3s fill: their old content would fight the new one.
const OWN: [&str; 5] = [
    "argocd",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "velero",
];
/// The id of a load balancer that went with the old cluster. On a restored Service it would make
/// the cloud controller look for that one instead of making another (its `annotations.md`).
const LOAD_BALANCER: &str = "kubernetes.digitalocean.com/load-balancer-id";

/// The name of a load balancer. The cloud controller takes any in the account that is called so for
/// its own (its `retrieveLoadBalancer`): in a copy, the first cluster's.
const LOAD_BALANCER_NAME: &str = "service.beta.kubernetes.io/do-loadbalancer-name";
/// The driver of DigitalOcean's volumes.
const DRIVER: &str = "dobs.csi.digitalocean.com";
/// Stands for the id of a volume that the cluster has no right to.
const NO_VOLUME: &str = "volume-of-the-first-cluster";

kplan_model::object! {
    /// What is asked for.
    pub struct RestoreArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// The backup's name.
        pub backup: Input<String>,
        /// Namespaces that are left out, besides those kplan fills.
        pub excluded_namespaces: Vec<String>,
        /// Whether a restore that lacks something is good enough.
        pub accept_partial: bool,
        /// The location the backup is in; `None` is the cluster's own.
        pub location: Option<String>,
        /// What the restore is called; `None` is `kplan-` and the backup's name.
        pub name: Option<String>,
    }
}

kplan_model::object! {
    /// How far it is.
    pub struct RestoreAttrs {
        /// Velero's own word for it.
        pub phase: String,
        /// Objects that were restored.
        pub items_restored: i64,
        /// Objects that are to be.
        pub total_items: i64,
        /// Restored claims that have their volume; `None` until Velero is done.
        pub claims_bound: Option<i64>,
        /// What Velero remarked on.
        pub warnings: i64,
        /// What Velero could not restore.
        pub errors: i64,
        /// What it waits for.
        pub waiting: Option<String>,
        /// Why it is not good enough.
        pub failed: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::in_place("access", "How the cluster is reached.")
        .secret()
        .reaches(),
    Field::new("backup", Change::Replace, "The backup's name."),
    Field::new(
        "excluded_namespaces",
        Change::Replace,
        "Namespaces that are left out.",
    ),
    Field::in_place(
        "accept_partial",
        "Whether a restore that lacks something is good enough.",
    ),
    Field::new(
        "location",
        Change::Replace,
        "Where the backup is, if not in the cluster's own location.",
    ),
    Field::new(
        "name",
        Change::Replace,
        "What it is called, where its backup's name does not say it.",
    ),
    Field::computed("phase", "Velero's own word for how far it is."),
    Field::computed("items_restored", "Objects that were restored."),
    Field::computed("total_items", "Objects that are to be."),
    Field::computed("claims_bound", "Restored claims that have their volume."),
    Field::computed("warnings", "What Velero remarked on."),
    Field::computed("errors", "What Velero could not restore."),
    Field::computed("waiting", "What it waits for."),
    Field::computed("failed", "Why it is not good enough."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("velero_restore"),
    terraform: "kplan_velero_restore",
    doc: "What was in the cluster, brought back from a backup.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // A minute until Velero has read the bucket, then what a small cluster takes.
    typical: Typical {
        create: 150,
        update: 5,
        delete: 5,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct VeleroRestore(pub Kubernetes);

fn object(name: &str) -> Object {
    Object::new(API, "Restore", Some(NAMESPACE), name)
}

/// The name of the restore of a backup: the same each time, so that one whose answer was lost is
/// found again.
///
/// # Errors
/// Where the backup's name is not known yet.
fn name_of(args: &RestoreArgs) -> Result<String, ProviderError> {
    let backup = args.backup.known()?;
    let own = args.name.clone();
    Ok(own.unwrap_or_else(|| format!("kplan-{backup}")))
}

/// A name as the value of a label, as Velero shortens it (its `label.GetValidName`): 63 characters,
/// of which the last six are the beginning of a SHA-256 of the whole.
fn label_value(name: &str) -> String {
    if name.len() <= LABEL {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LABEL - 6).collect();
    let digest: String = sha256_hex(name.as_bytes()).chars().take(6).collect();
    kept + &digest
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn number(value: &Value, path: &str) -> i64 {
    value.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

/// What a restore is of, as Velero is told.
///
/// # Errors
/// Where the backup's name is not known yet.
pub fn restore(args: &RestoreArgs) -> Result<Value, ProviderError> {
    let backup = args.backup.known()?;
    let mut excluded: Vec<&str> = OWN.to_vec();
    excluded.extend(args.excluded_namespaces.iter().map(String::as_str));
    Ok(json!({
        "apiVersion": API,
        "kind": "Restore",
        "metadata": { "name": name_of(args)?, "namespace": NAMESPACE },
        "spec": {
            "backupName": backup,
            "excludedNamespaces": excluded,
            // Without it nothing outside of namespaces comes back where some are left out.
            "includeClusterResources": true,
            "labelSelector": {
                "matchExpressions": [{ "key": OWNER, "operator": "DoesNotExist" }],
            },
            "restorePVs": true,
            "existingResourcePolicy": "none",
            "resourceModifier": { "kind": "ConfigMap", "name": MODIFIERS },
        },
    }))
}

/// Where the rules are.
fn rules() -> Object {
    Object::new("v1", "ConfigMap", Some(NAMESPACE), MODIFIERS)
}

/// Services lose the id of their old load balancer; in a copy, its name, too. Volumes of
/// DigitalOcean's that come back without what they held lose their id in a copy: Velero restores a
/// volume of the class `Retain` as it was where the backup has no data of it, and it would be the first
/// cluster's.
pub(super) fn modifiers(args: &RestoreArgs) -> Value {
    let is_copy = args.location.is_some();
    let mut patch = json!({ "metadata": { "annotations": { LOAD_BALANCER: null } } });
    if is_copy {
        patch["metadata"]["annotations"][LOAD_BALANCER_NAME] = Value::Null;
    }
    let mut all = vec![json!({
        "conditions": { "groupResource": "services", "resourceNameRegex": ".*" },
        "mergePatches": [{ "patchData": patch.to_string() }],
    })];
    if is_copy {
        let patch = json!({ "spec": { "csi": { "volumeHandle": NO_VOLUME } } });
        all.push(json!({
            "conditions": {
                "groupResource": "persistentvolumes",
                "resourceNameRegex": ".*",
                "matches": [{ "path": "/spec/csi/driver", "value": DRIVER }],
            },
            "mergePatches": [{ "patchData": patch.to_string() }],
        }));
    }
    let rules = json!({ "version": "v1", "resourceModifierRules": all });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": MODIFIERS, "namespace": NAMESPACE },
        // Velero reads YAML, of which JSON is a part.
        "data": { "rules.yaml": rules.to_string() },
    })
}

impl VeleroRestore {
    fn session(&self, args: &RestoreArgs) -> Result<Session, ProviderError> {
        self.0.session(args.access.known()?, Role::Admin)
    }

    /// Waits until Velero has found the backup in the bucket.
    async fn found(&self, session: &Session, args: &RestoreArgs) -> Result<(), ProviderError> {
        let backup = args.backup.known()?;
        let at = Object::new(API, "Backup", Some(NAMESPACE), backup);
        for _ in 0..LOOKS {
            if let Some(seen) = session.get(&at).await? {
                in_its_place(&seen, args)?;
                return usable(backup, text(&seen, "/status/phase"));
            }
            self.0.pause(PAUSE).await;
        }
        let message = format!("Velero has found no backup named {backup} in its bucket");
        Err(ProviderError::new(ErrorKind::NotFound, message)
            .help("`kplan backup list` shows those that are there"))
    }

    /// Whether an attempt before this one brought back a part.
    async fn earlier_part(
        &self,
        session: &Session,
        name: &str,
    ) -> Result<Option<String>, ProviderError> {
        let rules = session.get(&rules()).await?;
        let annotations = rules
            .as_ref()
            .and_then(|it| it.pointer("/metadata/annotations"));
        let part = annotations.and_then(|all| all.get(PARTIAL)?.as_str());
        Ok((part == Some(name)).then(|| {
            "an earlier attempt restored a part, and Velero does not touch what is there; `kplan \
             restore --accept-partial` goes on with it, or destroy the cluster and restore anew"
                .to_owned()
        }))
    }

    /// Waits until a restore that is deleted is gone: Velero takes its files out of the bucket
    /// first, for which it needs the location.
    async fn gone(&self, session: &Session, restore: &Object) -> Result<(), ProviderError> {
        for _ in 0..LOOKS {
            if session.get(restore).await?.is_none() {
                return Ok(());
            }
            self.0.pause(PAUSE).await;
        }
        let message = format!("{restore} is still being deleted");
        Err(ProviderError::new(ErrorKind::Busy, message).help(
            "Velero holds it until its files are out of the bucket: see why with `kubectl -n velero \
             logs deployment/velero`",
        ))
    }

    async fn seen(&self, args: &RestoreArgs) -> Result<Option<RestoreAttrs>, ProviderError> {
        let session = self.session(args)?;
        let name = name_of(args)?;
        let Some(seen) = session.get(&object(&name)).await? else {
            return Ok(None);
        };
        let mut attrs = attrs_of(&seen, args.accept_partial);
        if attrs.failed.is_none() && !args.accept_partial {
            attrs.failed = self.earlier_part(&session, &name).await?;
        }
        if attrs.waiting.is_none() && attrs.failed.is_none() {
            let claims = claims_of(&session, &name).await?;
            let bound = claims.iter().filter(|claim| is_bound(claim)).count();
            attrs.claims_bound = i64::try_from(bound).ok();
            attrs.waiting = unbound(&session, &claims).await?;
        }
        Ok(Some(attrs))
    }
}

/// A backup of the same name in another bucket is another backup.
fn in_its_place(seen: &Value, args: &RestoreArgs) -> Result<(), ProviderError> {
    let (wanted, found) = (&args.location, text(seen, "/spec/storageLocation"));
    match wanted {
        Some(wanted) if wanted != found => {
            let name = text(seen, "/metadata/name");
            let message = format!(
                "the cluster has a backup named {name} already, in the location {found} instead of \
                 {wanted}"
            );
            Err(ProviderError::new(ErrorKind::Invalid, message).help(
                "Velero knows one backup of a name: restore another one with `kplan restore --from`",
            ))
        }
        _ => Ok(()),
    }
}

fn usable(backup: &str, phase: &str) -> Result<(), ProviderError> {
    if matches!(phase, "Completed" | "PartiallyFailed") {
        return Ok(());
    }
    let message = format!("the backup {backup} is {phase}, which cannot be restored");
    Err(ProviderError::new(ErrorKind::Invalid, message))
}

fn attrs_of(seen: &Value, accept_partial: bool) -> RestoreAttrs {
    let phase = text(seen, "/status/phase");
    let mut attrs = RestoreAttrs {
        phase: if phase.is_empty() { "New" } else { phase }.to_owned(),
        items_restored: number(seen, "/status/progress/itemsRestored"),
        total_items: number(seen, "/status/progress/totalItems"),
        claims_bound: None,
        warnings: number(seen, "/status/warnings"),
        errors: number(seen, "/status/errors"),
        waiting: None,
        failed: None,
    };
    match attrs.phase.as_str() {
        "Completed" => {}
        "PartiallyFailed" if accept_partial => {}
        "PartiallyFailed" => {
            attrs.failed = Some(format!(
                "{} objects could not be restored; `velero restore describe {} --details` names \
                 them, `kplan restore --accept-partial` goes on without them",
                attrs.errors,
                text(seen, "/metadata/name"),
            ));
        }
        "Failed" | "FailedValidation" => {
            let why = text(seen, "/status/failureReason");
            let errors = seen.pointer("/status/validationErrors");
            let errors = errors.map(Value::to_string).unwrap_or_default();
            attrs.failed = Some(format!("Velero says {}: {why}{errors}", attrs.phase));
        }
        _ => {
            attrs.waiting = Some(format!(
                "restoring: {} of {} objects",
                attrs.items_restored, attrs.total_items
            ));
        }
    }
    attrs
}

/// The claims that a restore brought back.
async fn claims_of(session: &Session, restore: &str) -> Result<Items, ProviderError> {
    let labels = format!("velero.io/restore-name={}", label_value(restore));
    let claims = Type::new("v1", "PersistentVolumeClaim");
    session.list(&claims, &labels).await
}

/// Restored claims that have no volume yet, but for those that wait for their first pod.
async fn unbound(session: &Session, claims: &[Value]) -> Result<Option<String>, ProviderError> {
    if claims.iter().all(is_bound) {
        return Ok(None);
    }
    let classes = session
        .list(&Type::new("storage.k8s.io/v1", "StorageClass"), "")
        .await?;
    Ok(waits_for_volumes(claims, &classes))
}

fn is_bound(claim: &Value) -> bool {
    text(claim, "/status/phase") == "Bound"
}

/// Which of the claims should have a volume by now.
fn waits_for_volumes(claims: &[Value], classes: &[Value]) -> Option<String> {
    let patient = |claim: &Value| {
        let class = text(claim, "/spec/storageClassName");
        classes.iter().any(|one| {
            text(one, "/metadata/name") == class
                && text(one, "/volumeBindingMode") == "WaitForFirstConsumer"
        })
    };
    let open = claims
        .iter()
        .filter(|claim| !is_bound(claim) && !patient(claim));
    let names: Vec<String> = open
        .map(|claim| {
            let namespace = text(claim, "/metadata/namespace");
            format!("{namespace}/{}", text(claim, "/metadata/name"))
        })
        .collect();
    let shown = names
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "{} restored claims have no volume yet: {shown}",
            names.len()
        )
    })
}

impl Resource for VeleroRestore {
    type Args = RestoreArgs;
    type Attrs = RestoreAttrs;

    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<RestoreAttrs>, ProviderError> {
        self.seen(&RestoreArgs::from_object(&known.args)?).await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, RestoreArgs>,
    ) -> Result<Vec<Found<RestoreAttrs>>, ProviderError> {
        let seen = self.seen(wanted.args).await?;
        let name = name_of(wanted.args)?;
        Ok(seen
            .map(|attrs| Found {
                id: RemoteId::new(name),
                created_at: None,
                attrs,
                role: FoundAs::Asked,
            })
            .into_iter()
            .collect())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, RestoreArgs>,
        permit: &Permit,
    ) -> Result<Found<RestoreAttrs>, CreateFailed<RestoreAttrs>> {
        let session = self.session(wanted.args)?;
        let name = name_of(wanted.args)?;
        self.found(&session, wanted.args).await?;
        session
            .apply(permit, &modifiers(wanted.args), Ownership::Take)
            .await?;
        session
            .apply(permit, &restore(wanted.args)?, Ownership::Take)
            .await?;
        let attrs = self.seen(wanted.args).await?;
        Ok(Found {
            id: RemoteId::new(name),
            created_at: None,
            attrs: attrs.unwrap_or_else(|| attrs_of(&Value::Null, false)),
            role: FoundAs::Asked,
        })
    }

    /// Only what counts as good enough, which is read anew.
    async fn update(
        &self,
        _known: &Known,
        args: &RestoreArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<RestoreAttrs, ProviderError> {
        let seen = self.seen(args).await?;
        seen.ok_or_else(|| ProviderError::new(ErrorKind::NotFound, "the restore is gone"))
    }

    /// What was restored stays.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = RestoreArgs::from_object(&known.args)?;
        let session = self.session(&args)?;
        let restore = object(known.id.as_str());
        let seen = session.get(&restore).await?;
        if seen.is_some_and(|seen| text(&seen, "/status/phase") == "PartiallyFailed") {
            let mark = json!({ "metadata": { "annotations": { PARTIAL: restore.name } } });
            session.merge(permit, &rules(), &mark).await?;
        }
        session.delete(permit, &restore).await?;
        self.gone(&session, &restore).await
    }

    fn readiness(&self, attrs: &RestoreAttrs) -> Readiness {
        match (&attrs.failed, &attrs.waiting) {
            (Some(why), _) => Readiness::Failed(why.clone()),
            (None, Some(what)) => Readiness::Waiting(what.clone()),
            (None, None) => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: &Value) -> Value {
        json!({ "metadata": { "name": "kplan-nightly-1" }, "status": status })
    }

    #[test]
    fn only_a_whole_restore_is_good_enough_unless_said_otherwise() {
        let partial = seen(&json!({ "phase": "PartiallyFailed", "errors": 2 }));
        let failed = attrs_of(&partial, false).failed.unwrap();
        assert!(
            failed.contains("2 objects") && failed.contains("--accept-partial"),
            "{failed}"
        );
        assert_eq!(attrs_of(&partial, true).failed, None);
        let running = seen(&json!({
            "phase": "InProgress", "progress": { "itemsRestored": 3, "totalItems": 40 },
        }));
        assert_eq!(
            attrs_of(&running, false).waiting.unwrap(),
            "restoring: 3 of 40 objects"
        );
        let whole = attrs_of(&seen(&json!({ "phase": "Completed" })), false);
        assert_eq!((whole.waiting, whole.failed), (None, None));
        for phase in ["Failed", "FailedValidation"] {
            let failed = seen(&json!({ "phase": phase, "validationErrors": ["no such backup"] }));
            assert!(
                attrs_of(&failed, true)
                    .failed
                    .unwrap()
                    .contains("no such backup")
            );
        }
    }

    #[test]
    fn labels_are_shortened_as_velero_does() {
        assert_eq!(label_value("kplan-drill"), "kplan-drill");
        let long = format!("kplan-{}-20261129020000", "n".repeat(60));
        let short = label_value(&long);
        assert_eq!(short.len(), LABEL);
        assert!(
            long.starts_with(&short[..57]) && !long.ends_with(&short[57..]),
            "{short}"
        );
    }

    #[test]
    fn what_kplan_and_k3s_fill_themselves_is_left_out() {
        let args = RestoreArgs {
            access: Input::Known(Access {
                server: String::new(),
                server_ca: String::new(),
                client_ca: String::new(),
                client_ca_key: kplan_model::Secret::new("key"),
            }),
            backup: Input::Known("nightly-1".to_owned()),
            excluded_namespaces: vec!["scratch".to_owned()],
            accept_partial: false,
            location: None,
            name: None,
        };
        let own = restore(&args).unwrap();
        assert_eq!(own["metadata"]["name"], "kplan-nightly-1");
        let rules_of = |args: &RestoreArgs| {
            let rules = &modifiers(args)["data"]["rules.yaml"];
            serde_json::from_str::<Value>(rules.as_str().unwrap()).unwrap()["resourceModifierRules"]
                .as_array()
                .unwrap()
                .clone()
        };
        assert_eq!(rules_of(&args).len(), 1);
        assert!(!rules_of(&args)[0].to_string().contains(LOAD_BALANCER_NAME));
        let copy = RestoreArgs {
            location: Some("source".to_owned()),
            name: Some("kplan-copy-00000000-nightly-1".to_owned()),
            ..args.clone()
        };
        let named = restore(&copy).unwrap();
        assert_eq!(named["metadata"]["name"], "kplan-copy-00000000-nightly-1");
        assert_eq!(named["spec"], own["spec"]);
        // No volume of the first cluster's is one of the copy's.
        let [services, volumes] = &rules_of(&copy)[..] else {
            panic!("{:?}", rules_of(&copy))
        };
        let patch = services["mergePatches"][0]["patchData"].as_str().unwrap();
        assert!(patch.contains(LOAD_BALANCER_NAME), "{patch}");
        assert_eq!(volumes["conditions"]["matches"][0]["value"], DRIVER);
        let patch = volumes["mergePatches"][0]["patchData"].as_str().unwrap();
        assert!(patch.contains("volumeHandle"), "{patch}");
        for (place, fits) in [("source", true), ("default", false)] {
            let seen = json!({
                "metadata": { "name": "nightly-1" }, "spec": { "storageLocation": place },
            });
            assert_eq!(in_its_place(&seen, &copy).is_ok(), fits);
            assert!(in_its_place(&seen, &args).is_ok());
        }
        let left_out = own["spec"]["excludedNamespaces"].to_string();
        for namespace in ["argocd", "kube-system", "velero", "scratch"] {
            assert!(left_out.contains(namespace), "{left_out}");
        }
        let marked = &own["spec"]["labelSelector"]["matchExpressions"][0];
        assert_eq!(
            (marked["key"].as_str(), marked["operator"].as_str()),
            (Some(OWNER), Some("DoesNotExist"))
        );
        let rules = modifiers(&args)["data"]["rules.yaml"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(rules.contains("load-balancer-id"), "{rules}");
    }
}
