//! `helm_release`: a Helm chart, installed by the controller that K3s brings along. The chart goes
//! into the cluster with the object that asks for it, so what was checked is what is installed.

use super::ccm::SYSTEM;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::object::{Object, Type};
use super::session::{FIELD_MANAGER, Session};
use super::wait;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{
    Change, ErrorKind, Field, Input, Kind, KindInfo, ProviderError, Readiness, ReplaceOrder,
    Typical,
};
use serde_json::{Value, json};

/// The API of K3s's Helm controller.
pub const CHART_API: &str = "helm.cattle.io/v1";
/// Bytes of an archive that fit a `ConfigMap` of 1 MiB in base64, with some room: the controller
/// hands the chart to its job in one (k3s-io/helm-controller issue 267).
const MAX_ARCHIVE: usize = 780_000;
/// The label of a chart's job and pods.
const CHART_LABEL: &str = "helmcharts.helm.cattle.io/chart";
/// What Helm annotates everything of a release with.
const RELEASE: &str = "meta.helm.sh/release-name";
/// Seconds within which times say nothing about what came first: they are whole ones, and of two
/// servers.
const UNSURE: i64 = 2;

kplan_model::object! {
    /// What is asked for.
    pub struct HelmReleaseArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The chart's archive.
        pub artifacts: Vec<ArtifactPin>,
        /// Where it comes from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// The release's name.
        pub name: String,
        /// The namespace of the release; it is made where it is not there, and stays.
        pub namespace: String,
        /// Values, in YAML.
        pub values: Option<String>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place("artifacts", "The chart's archive, with its digest."),
    SOURCES,
    Field::new("name", Change::Replace, "The release's name."),
    Field::new(
        "namespace",
        Change::Replace,
        "The namespace of the release; made where it is not there.",
    ),
    Field::in_place("values", "Values, in YAML."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("helm_release"),
    terraform: "helm_release",
    doc: "A Helm chart, installed by the controller that K3s brings along.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "namespace"],
    holds: None,
    typical: Typical {
        create: 90,
        update: 60,
        delete: 40,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct HelmRelease;

impl BundleKind for HelmRelease {
    type Args = HelmReleaseArgs;

    const INFO: &'static KindInfo = &INFO;
    const IS_REMADE: bool = false;
    const IS_ALONE: bool = true;

    fn access(args: &HelmReleaseArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &HelmReleaseArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let [pin] = args.artifacts.as_slice() else {
            let message = "a release is made of one chart";
            return Err(ProviderError::new(ErrorKind::Bug, message));
        };
        let artifact = pin.located(args.sources.as_ref())?;
        let archive = artifacts.bytes(&artifact).await?;
        is_archive(&artifact.path(), &archive)?;
        let mut chart = json!({
            "apiVersion": CHART_API,
            "kind": "HelmChart",
            "metadata": { "name": args.name, "namespace": SYSTEM },
            "spec": {
                "chartContent": STANDARD.encode(&archive),
                "targetNamespace": args.namespace,
                "createNamespace": true,
                // The default uninstalls a release whose upgrade failed, with all it holds; to try
                // again is no choice before helm-controller 0.17.7, which is newer than K3s 1.35's.
                "failurePolicy": "abort",
            },
        });
        if let Some(values) = &args.values {
            chart["spec"]["valuesContent"] = json!(values);
        }
        Ok(vec![chart])
    }

    async fn waits_for(
        session: &Session,
        args: &HelmReleaseArgs,
    ) -> Result<Option<String>, ProviderError> {
        let chart = Object::new(CHART_API, "HelmChart", Some(SYSTEM), &args.name);
        let Some(chart) = session.get(&chart).await? else {
            return Ok(Some(format!("{chart} is not there")));
        };
        let job = chart
            .pointer("/status/jobName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let job = Object::new("batch/v1", "Job", Some(SYSTEM), job);
        let found = session.get(&job).await?;
        let Some(found) = found else {
            return Ok(Some("its job is not there yet".to_owned()));
        };
        if found.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(Some("its job is being replaced".to_owned()));
        }
        // A chart that was only written anew has no newer job, and needs none.
        let is_new = is_newer(&found, &chart);
        if !is_new && !is_handed_over(session, &chart, (&args.name, &found)).await? {
            return Ok(Some("its job is still the one before".to_owned()));
        }
        match wait::state(&found) {
            Readiness::Ready => match failed_release(session, args).await? {
                None => workloads(session, args).await,
                failed => Ok(failed),
            },
            Readiness::Waiting(why) | Readiness::Failed(why) => {
                let pods = Type::new("v1", "Pod");
                let label = format!("{CHART_LABEL}={}", args.name);
                let pods = session.list(&pods, &label).await?;
                Ok(Some(told(args, &job, &why, (&found, &pods))))
            }
        }
    }
}

fn is_archive(path: &str, bytes: &[u8]) -> Result<(), ProviderError> {
    let refused = |message: String, help: &str| {
        Err(ProviderError::new(ErrorKind::Invalid, message).help(help))
    };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return refused(
            format!("{path} is not a chart's archive: it is not compressed with gzip"),
            "name the address of a `.tgz` that `helm package` made, not of a page about it",
        );
    }
    if bytes.len() > MAX_ARCHIVE {
        return refused(
            format!(
                "{path} has {} bytes; K3s hands charts of at most {MAX_ARCHIVE} to Helm",
                bytes.len()
            ),
            "install it with Argo CD: an Application whose source is the chart has no such limit \
             (docs/guide/add-ons.md)",
        );
    }
    Ok(())
}

fn seconds(text: Option<&Value>) -> Option<i64> {
    let at: jiff::Timestamp = text?.as_str()?.parse().ok()?;
    Some(at.as_second())
}

/// When the fields were written last for which an entry in the server's book of them stands.
fn written(object: &Value, of: impl Fn(&Value) -> bool) -> Option<i64> {
    let managed = object.pointer("/metadata/managedFields");
    let entries = managed.and_then(Value::as_array).into_iter().flatten();
    entries
        .filter(|entry| of(entry))
        .filter_map(|entry| seconds(entry.get("time")))
        .max()
}

/// Whether `later` is certainly after `earlier`.
fn is_after(later: Option<i64>, earlier: Option<i64>) -> bool {
    matches!((later, earlier), (Some(later), Some(earlier)) if later - earlier > UNSURE)
}

fn made(job: &Value) -> Option<i64> {
    seconds(job.pointer("/metadata/creationTimestamp"))
}

/// Whether the job was certainly made after the chart was written last.
fn is_newer(job: &Value, chart: &Value) -> bool {
    let applied = written(chart, |entry| {
        entry["operation"] == "Apply" && entry["manager"] == FIELD_MANAGER
    });
    is_after(made(job), applied)
}

/// Whether what the job works with is what the chart says now. The controller writes that first,
/// then deletes the job of the old chart and makes another: a job from before is the old one.
async fn is_handed_over(
    session: &Session,
    chart: &Value,
    (name, job): (&str, &Value),
) -> Result<bool, ProviderError> {
    let spec = &chart["spec"];
    let values = spec["valuesContent"].as_str().unwrap_or_default();
    let parts = [
        ("ConfigMap", "chart-content", spec["chartContent"].clone()),
        ("Secret", "chart-values", json!(STANDARD.encode(values))),
    ];
    for (kind, of, content) in parts {
        let object = Object::new("v1", kind, Some(SYSTEM), &format!("{of}-{name}"));
        let found = session.get(&object).await?.unwrap_or_default();
        let data = found["data"].as_object();
        // Without values there are none of ours; the keys differ between versions.
        let ours = data.is_some_and(|data| data.values().any(|value| *value == content));
        let wrote = written(&found, |entry| entry.pointer("/fieldsV1/f:data").is_some());
        if (!ours && content != "") || is_after(wrote, made(job)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A job that is not done: how often Helm was started in vain, where to read why, and how it is let
/// try again.
fn told(
    args: &HelmReleaseArgs,
    job: &Object,
    why: &str,
    (found, pods): (&Value, &[Value]),
) -> String {
    let count = |value: Option<&Value>| value.and_then(Value::as_i64).unwrap_or(0);
    let restarts = pods.iter().flat_map(|pod| {
        let containers = pod.pointer("/status/containerStatuses");
        containers.and_then(Value::as_array).into_iter().flatten()
    });
    let restarts: i64 = restarts.map(|one| count(one.get("restartCount"))).sum();
    let failed = restarts + count(found.pointer("/status/failed"));
    if failed == 0 {
        return format!("{job}: {why}");
    }
    format!(
        "{job}: Helm failed {failed} times; `kubectl --namespace {SYSTEM} logs job/{}` says why{}",
        job.name,
        again(args)
    )
}

/// How Helm is let try again. Left to itself it would uninstall a release that failed.
fn again(args: &HelmReleaseArgs) -> String {
    let HelmReleaseArgs {
        name, namespace, ..
    } = args;
    format!(
        "; a release that failed is left as it is, and `kubectl --namespace {namespace} delete secret \
         --selector owner=helm,name={name},status=failed` lets Helm try again"
    )
}

/// An upgrade that failed, by Helm's own record: its job ends well all the same, because the second
/// try finds another revision than it was made for.
async fn failed_release(
    session: &Session,
    args: &HelmReleaseArgs,
) -> Result<Option<String>, ProviderError> {
    let failed = revision(session, args, "failed").await?;
    // Records hold whole manifests: nothing more is read where none failed.
    if failed.is_none() || failed < revision(session, args, "deployed").await? {
        return Ok(None);
    }
    let revision = failed.unwrap_or_default();
    Ok(Some(format!(
        "revision {revision} of the release {} failed{}",
        args.name,
        again(args)
    )))
}

/// The newest revision of that status.
async fn revision(
    session: &Session,
    args: &HelmReleaseArgs,
    status: &str,
) -> Result<Option<i64>, ProviderError> {
    let labels = format!("owner=helm,name={},status={status}", args.name);
    let records = session.list(&Type::new("v1", "Secret"), &labels).await?;
    let own = records
        .iter()
        .filter(|record| record["metadata"]["namespace"] == args.namespace.as_str());
    let revisions = own.filter_map(|record| {
        let version = &record["metadata"]["labels"]["version"];
        version.as_str()?.parse().ok()
    });
    Ok(revisions.max())
}

/// What the release made that does not run yet.
async fn workloads(
    session: &Session,
    args: &HelmReleaseArgs,
) -> Result<Option<String>, ProviderError> {
    let mut of_release = Vec::new();
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let all = session.list(&Type::new("apps/v1", kind), "").await?;
        let own = all.iter().filter(|value| {
            value["metadata"]["namespace"] == args.namespace.as_str()
                && value["metadata"]["annotations"][RELEASE] == args.name.as_str()
        });
        of_release.extend(own.cloned());
    }
    match wait::all(&of_release) {
        Readiness::Ready => Ok(None),
        Readiness::Waiting(why) | Readiness::Failed(why) => Ok(Some(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::testing::{Asked, Fake, status};

    fn args() -> HelmReleaseArgs {
        HelmReleaseArgs {
            access: Input::Unknown,
            objects: Applied,
            artifacts: Vec::new(),
            sources: None,
            name: "app".to_owned(),
            namespace: "apps".to_owned(),
            values: Some("a: 1".to_owned()),
        }
    }

    /// What an API with one chart has of it.
    #[derive(Clone)]
    struct World {
        applied: &'static str,
        made: &'static str,
        job: Value,
        values: &'static str,
        /// When what the job works with was written last.
        wrote: &'static str,
        is_going: bool,
        releases: Vec<(&'static str, &'static str)>,
        available: i64,
    }

    impl Default for World {
        fn default() -> Self {
            Self {
                applied: "2026-11-29T12:00:00Z",
                made: "2026-11-29T12:00:10Z",
                job: json!({ "conditions": [{ "type": "Complete", "status": "True" }] }),
                values: "a: 1",
                wrote: "2026-11-29T11:00:00Z",
                is_going: false,
                releases: vec![("1", "deployed")],
                available: 1,
            }
        }
    }

    fn listed(items: Vec<Value>) -> Value {
        json!({ "items": items, "metadata": {} })
    }

    fn types(names: &[(&str, &str)]) -> Value {
        let one = |(name, kind): &(&str, &str)| json!({"name": name, "kind": kind, "namespaced": true, "verbs": []});
        let resources: Vec<Value> = names.iter().map(one).collect();
        json!({ "kind": "APIResourceList", "resources": resources })
    }

    impl World {
        fn found(&self, asked: &Asked) -> Option<Value> {
            let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
            let path = path.replace("/api/v1/namespaces/kube-system", "~");
            Some(match path.as_str() {
                "/apis/helm.cattle.io/v1" => types(&[("helmcharts", "HelmChart")]),
                "/apis/batch/v1" => types(&[("jobs", "Job")]),
                "/apis/apps/v1" => types(&[
                    ("deployments", "Deployment"),
                    ("statefulsets", "StatefulSet"),
                    ("daemonsets", "DaemonSet"),
                ]),
                "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/app" => self.chart(),
                "/apis/batch/v1/namespaces/kube-system/jobs/helm-install-app" => {
                    let mut metadata = json!({ "creationTimestamp": self.made });
                    if self.is_going {
                        metadata["deletionTimestamp"] = json!(self.made);
                    }
                    json!({
                        "apiVersion": "batch/v1", "kind": "Job", "status": self.job,
                        "metadata": metadata,
                    })
                }
                "/api/v1/secrets" => self.releases(query),
                "/apis/apps/v1/deployments" => listed(vec![self.deployment()]),
                "/api/v1/pods" | "/apis/apps/v1/statefulsets" | "/apis/apps/v1/daemonsets" => {
                    listed(vec![])
                }
                "~/configmaps/chart-content-app" => {
                    json!({ "data": { "app.tgz.base64": "Y2hhcnQ=" } })
                }
                "~/secrets/chart-values-app" => json!({
                    "data": { "HelmChartValuesContent": STANDARD.encode(self.values) },
                    "metadata": { "managedFields": [
                        { "manager": "k3s", "time": self.wrote, "fieldsV1": { "f:data": {} } },
                        // A label that somebody gives it says nothing.
                        { "manager": "edit", "time": "2026-11-29T12:59:00Z",
                            "fieldsV1": { "f:metadata": {} } },
                    ] },
                }),
                _ => return None,
            })
        }

        fn chart(&self) -> Value {
            json!({
                "spec": { "chartContent": "Y2hhcnQ=", "valuesContent": "a: 1" },
                "status": { "jobName": "helm-install-app" },
                "metadata": { "managedFields": [
                    { "manager": "kplan", "operation": "Apply", "time": self.applied },
                    { "manager": "k3s", "operation": "Update", "time": "2026-11-29T12:59:00Z" },
                ] },
            })
        }

        fn releases(&self, query: &str) -> Value {
            let asked = |status: &str| query.contains(&format!("status%3D{status}"));
            let of_status = self.releases.iter().filter(|(_, status)| asked(status));
            let records = of_status.map(|(version, _)| {
                json!({ "metadata": {
                    "name": format!("v{version}"), "namespace": "apps", "labels": { "version": version },
                } })
            });
            listed(records.collect())
        }

        fn deployment(&self) -> Value {
            json!({
                "metadata": { "name": "app", "namespace": "apps", "annotations": { RELEASE: "app" } },
                "spec": { "replicas": 1 },
                "status": {
                    "replicas": 1, "updatedReplicas": 1, "availableReplicas": self.available,
                },
            })
        }

        async fn waits_for(self) -> String {
            let fake = Fake::new(move |asked: &Asked| match self.found(asked) {
                Some(found) => Some((200, found)),
                None => status(404, "NotFound", "not here"),
            });
            let waits = HelmRelease::waits_for(&fake.session(), &args()).await;
            waits.unwrap().unwrap_or_default()
        }
    }

    async fn assert_waits(cases: &[(World, &str)]) {
        for (world, told) in cases {
            let waits = world.clone().waits_for().await;
            assert_eq!(waits.is_empty(), told.is_empty(), "{told}: {waits}");
            assert!(waits.contains(told), "{told}: {waits}");
        }
    }

    #[tokio::test]
    async fn a_release_is_ready_when_its_own_job_its_record_and_its_workloads_say_so() {
        let unavailable = World {
            available: 0,
            ..World::default()
        };
        let failing = World {
            job: json!({ "failed": 3 }),
            ..World::default()
        };
        // The job of a failed upgrade ends well.
        let failed = World {
            releases: vec![("1", "deployed"), ("2", "failed")],
            ..World::default()
        };
        let mended = World {
            releases: vec![("9", "failed"), ("10", "deployed")],
            ..World::default()
        };
        assert_waits(&[
            (World::default(), ""),
            (unavailable, "0 of 1 available"),
            (failing, "Helm failed 3 times"),
            (failed, "revision 2 of the release app failed"),
            (mended, ""),
        ])
        .await;
    }

    #[tokio::test]
    async fn the_job_of_the_chart_before_says_nothing_of_this_one() {
        let made = |made: &'static str| World {
            made,
            ..World::default()
        };
        let (before, now) = ("2026-11-29T11:00:00Z", "2026-11-29T12:00:01Z");
        let with = |values: &'static str, world: World| World { values, ..world };
        // The controller wrote what the next job works with, and has not replaced this one yet.
        let early = World {
            wrote: "2026-11-29T12:00:00Z",
            ..made(before)
        };
        let going = World {
            is_going: true,
            ..World::default()
        };
        assert_waits(&[
            (with("a: 0", made(before)), "the one before"),
            // Written anew as it was: there is no newer job.
            (made(before), ""),
            (early, "the one before"),
            (going, "being replaced"),
            // Within the same seconds the times say nothing: what the job works with does.
            (made(now), ""),
            (with("a: 0", made(now)), "the one before"),
        ])
        .await;
    }

    #[test]
    fn only_what_can_be_a_chart_is_sent() {
        assert!(is_archive("a", &[0x1f, 0x8b, 8]).is_ok());
        for (bytes, told) in [
            (b"<html>".to_vec(), "not a chart's archive"),
            (
                [&[0x1f, 0x8b][..], &vec![0; MAX_ARCHIVE]].concat(),
                "at most 780000",
            ),
        ] {
            let error = is_archive("a", &bytes).unwrap_err();
            assert!(error.message.contains(told), "{error}");
        }
    }
}
