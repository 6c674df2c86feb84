//! K3s's built-in Helm controller: every `HelmChart` becomes a job whose pod runs Helm.
//!
//! It does what v0.17.1 does, which K3s v1.34.9 and v1.35.6 have in them. There a chart's status
//! does not tell how its job ends: `Failed` is true only where no job can be made. And a pod that
//! is started again after a failed upgrade finds another revision than it was told, and ends well;
//! what became of a release is in the labels of its newest Secret only.
//!
//! Templates are not rendered: those with `{{` are left out, and the container's termination
//! message says so. Not simulated besides: hooks, subcharts, values (they are recorded), charts
//! from repositories, releases kept in config maps, jobs of other images than
//! `rancher/klipper-helm`, and events.

mod archive;
mod client;
mod inputs;
mod job;
mod klipper;
mod objects;
mod operations;
mod release;
mod values;

use std::time::Duration;

use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::object::{self, Object, items, number, set, text};
use crate::kubernetes::write::{Target, WriteOptions};
use job::Wanted;
pub(super) use klipper::step;

#[cfg(test)]
pub(crate) use archive::tests::pack as packed_chart;

const CHARTS: &str = "helm.cattle.io/helmcharts";
const CONFIGS: &str = "helm.cattle.io/helmchartconfigs";
const JOBS: &str = "batch/jobs";
const SECRETS: &str = "/secrets";
const CONFIG_MAPS: &str = "/configmaps";

const NAME: &str = "helm-controller";
const FINALIZER: &str = "wrangler.cattle.io/on-helm-chart-remove";
/// Which controller a chart belongs to; the first one that sees it claims it.
const MANAGED_BY: &str = "helmcharts.cattle.io/managed-by";
/// Nobody touches a chart that has this.
const UNMANAGED: &str = "helmcharts.helm.cattle.io/unmanaged";
/// The label of a chart's job and pods.
const CHART: &str = "helmcharts.helm.cattle.io/chart";

/// A younger job is not replaced yet.
const SETTLE: Duration = Duration::from_secs(3);

/// One pass over all charts.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for chart in pass.all(CHARTS) {
        if !managed(pass, &chart) {
            continue;
        }
        if object::terminating(&chart) {
            removed(pass, &chart);
        } else {
            changed(pass, &chart);
        }
    }
}

/// Whether the chart is this controller's. One without a master is claimed, and is from the next
/// pass on.
fn managed(pass: &Pass<'_>, chart: &Object) -> bool {
    let named = |field: &str| text(chart, &["spec", field]).is_some_and(|name| !name.is_empty());
    if !(named("chart") || named("chartContent")) || object::annotation(chart, UNMANAGED).is_some()
    {
        return false;
    }
    if let Some(master) = object::annotation(chart, MANAGED_BY) {
        return master == NAME;
    }
    pass.adjust(CHARTS, chart, |chart| {
        set(chart, &["metadata", "annotations", MANAGED_BY], NAME);
    });
    false
}

/// Whether the chart is of a Helm that is no more.
fn outdated(chart: &Value) -> bool {
    let version = text(chart, &["spec", "helmVersion"]).unwrap_or_default();
    !matches!(version, "" | "v3")
}

fn changed(pass: &mut Pass<'_>, chart: &Object) {
    let finalizers = items(chart, &["metadata", "finalizers"]);
    if !finalizers.iter().any(|one| one == FINALIZER) {
        let mut all = finalizers.to_vec();
        all.push(FINALIZER.into());
        pass.adjust(CHARTS, chart, |chart| {
            set(chart, &["metadata", "finalizers"], all);
        });
    }
    if outdated(chart) {
        let failed = json!({"type": "Failed", "status": "True", "reason": "Unsupported version",
            "message": "Only Helm v3 charts are supported"});
        let conditions = json!([{"type": "JobCreated", "status": "False"}, failed]);
        pass.adjust(CHARTS, chart, |chart| {
            set(chart, &["status", "conditions"], conditions);
        });
        return;
    }
    let wanted = job::wanted(pass, chart);
    if !put(pass, chart, &wanted) {
        return;
    }
    let (namespace, name) = (object::namespace(chart), object::name(&wanted.job));
    let message = format!("Applying HelmChart using Job {namespace}/{name}");
    let created = json!({"type": "JobCreated", "status": "True", "reason": "Job created",
        "message": message});
    let conditions = json!([created, {"type": "Failed", "status": "False"}]);
    pass.adjust(CHARTS, chart, |chart| {
        set(chart, &["status", "jobName"], name);
        set(chart, &["status", "conditions"], conditions);
    });
}

/// Makes the job and what it needs. Whether all of it is there now: nothing is done, and nothing
/// said, where the job is what is wanted already; and one that is not goes first.
fn put(pass: &mut Pass<'_>, chart: &Object, wanted: &Wanted) -> bool {
    let namespace = object::namespace(chart);
    let old = pass.get(JOBS, namespace, object::name(&wanted.job));
    if let Some(old) = &old {
        let settled = pass.due("settle", old, SETTLE);
        if !settled || object::terminating(old) || job::hash(old) == job::hash(&wanted.job) {
            return false;
        }
    }
    // Each on its own: one that is refused does not keep the others back.
    let mut complete = true;
    for (collection, object) in &wanted.others {
        complete &= write(pass, collection, object);
    }
    match old {
        Some(old) => {
            pass.delete(JOBS, &old);
            false
        }
        None => pass.create(wanted.job.clone()).is_some() && complete,
    }
}

/// Creates an object, or gives the one that is there its content.
fn write(pass: &Pass<'_>, collection: &str, wanted: &Value) -> bool {
    let (namespace, name) = (object::namespace(wanted), object::name(wanted));
    let Some(old) = pass.get(collection, namespace, name) else {
        return pass.create(wanted.clone()).is_some();
    };
    let Some(resource) = pass.server.catalogue().stored(collection) else {
        return false;
    };
    let mut new = Value::clone(&old);
    for (field, value) in wanted.as_object().into_iter().flatten() {
        if field != "metadata" {
            new[field] = value.clone();
        }
    }
    let target = Target {
        resource: &resource,
        namespace,
        name,
        subresource: "",
    };
    let options = WriteOptions::controller();
    pass.server.update(target, new, &options).is_ok()
}

fn removed(pass: &mut Pass<'_>, chart: &Object) {
    let namespace = object::namespace(chart);
    let place = pass.get("/namespaces", "", namespace);
    let closing = place.is_none_or(|place| object::terminating(&place));
    let wanted = job::wanted(pass, chart);
    let name = object::name(&wanted.job);
    let job = pass.get(JOBS, namespace, name);
    // In a namespace that ends there can be no new job: nothing is uninstalled then.
    if outdated(chart) || (closing && job.is_none()) {
        release(pass, chart);
        return;
    }
    put(pass, chart, &wanted);
    pass.adjust(CHARTS, chart, |chart| {
        set(chart, &["status", "jobName"], name);
    });
    let succeeded = |job: &Object| number(job, &["status", "succeeded"]).unwrap_or(0) > 0;
    if !job.is_some_and(|job| succeeded(&job)) {
        return;
    }
    let install = job::name("install", chart);
    let jobs = [(JOBS, namespace, install.as_str()), (JOBS, namespace, name)];
    let others = wanted.others.iter().map(|(collection, object)| {
        let place = object::namespace(object);
        (*collection, place, object::name(object))
    });
    for (collection, namespace, name) in jobs.into_iter().chain(others) {
        if let Some(found) = pass.get(collection, namespace, name) {
            pass.delete(collection, &found);
        }
    }
    release(pass, chart);
}

/// Lets the chart go.
fn release(pass: &Pass<'_>, chart: &Object) {
    pass.adjust(CHARTS, chart, |chart| {
        let mut left = items(chart, &["metadata", "finalizers"]).to_vec();
        left.retain(|finalizer| finalizer != FINALIZER);
        set(chart, &["metadata", "finalizers"], left);
    });
}
