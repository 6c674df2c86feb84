//! The sandbox's API server beside a real one: what kplan applied has to look the same in both.

use super::{Artifacts, Real, SCALE};
use crate::boots::boot;
use crate::hands::Hands;
use crate::rig::Rig;
use crate::upstream::upstream;
use kplan_model::codec::Codec as _;
use kplan_model::{Input, Known};
use kplan_providers::http::system_clock;
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::bundle::read_inventory;
use kplan_providers::kubernetes::object::Object;
use kplan_providers::kubernetes::{Kubernetes, KubernetesCalls, KubernetesConfig, Network, Role};
use kplan_providers::recovery::MemoryKits;
use kplan_providers::registry::Clients;
use serde_json::Value;
use std::sync::Arc;

/// What every server gives an object of its own accord.
const OWN: [&str; 6] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
];

/// What controllers write, which are not the server's: Deployments', Velero's and the Helm
/// controller's; and addresses, which every cluster gives out as it likes.
const OTHERS: [&str; 5] = [
    "/metadata/annotations/deployment.kubernetes.io~1revision",
    "/metadata/annotations/helmcharts.cattle.io~1managed-by",
    "/spec/skipImmediately",
    "/spec/clusterIP",
    "/spec/clusterIPs",
];

/// What is left once everything is gone that no two servers would have alike.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    let all = object.as_object_mut().unwrap();
    all.remove("status");
    let metadata = all["metadata"].as_object_mut().unwrap();
    for name in OWN {
        metadata.remove(name);
    }
    if all["kind"] == "HelmChart" {
        // The Helm controller's.
        all["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("finalizers");
    }
    for path in OTHERS {
        let (inside, name) = path.rsplit_once('/').unwrap();
        let inside = object.pointer_mut(inside).and_then(Value::as_object_mut);
        if let Some(inside) = inside {
            inside.remove(&name.replace("~1", "/"));
        }
    }
    object
}

/// The fields that kplan's manager owns.
fn owned(object: &Value) -> Value {
    let all = object["metadata"]["managedFields"].as_array().unwrap();
    let ours = all.iter().find(|one| one["manager"] == "kplan").unwrap();
    ours["fieldsV1"].clone()
}

fn differences(path: &str, real: &Value, sandbox: &Value, found: &mut Vec<String>) {
    match (real, sandbox) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                let nothing = Value::Null;
                let one = one.get(name).unwrap_or(&nothing);
                let other = other.get(name).unwrap_or(&nothing);
                differences(&format!("{path}.{name}"), one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{index}]"), one, other, found);
            }
        }
        _ if real == sandbox => {}
        _ => found.push(format!("{path}: {real} there, {sandbox} here")),
    }
}

/// Makes the same in a cluster of the sandbox, and says what differs.
pub(super) async fn with_the_sandbox(real: &Real, made: &[Known]) -> Vec<String> {
    let rig = Rig::start().await;
    let access = boot(&rig).await.access;
    let at = rig.running.endpoints();
    let kubernetes = Kubernetes::new(KubernetesConfig {
        connector: Arc::new(Network {
            proxy_url: Some(at.proxy_url.clone()),
        }),
        now: system_clock(),
        calls: Arc::new(KubernetesCalls::default()),
        scale: SCALE,
    });
    let hands = Hands::new(&Clients {
        digitalocean: real.cloud.0.clone(),
        spaces: real.cloud.1.clone(),
        kubernetes: kubernetes.clone(),
        artifacts: Arc::new(Artifacts(upstream().unwrap())),
        kits: Arc::new(MemoryKits::default()),
        now: system_clock(),
        remarks: kplan_providers::kubernetes::Remarks::default(),
    });
    let session = kubernetes.session(&access, Role::Admin).unwrap();
    let mut found = Vec::new();
    for known in made {
        let mut args = known.args.clone();
        let there: Input<Access> = access.clone().into();
        args.insert("access".to_owned(), there.encode());
        let address = known.address.to_string();
        let own = hands.create(&address, args).await;
        own.unwrap_or_else(|error| panic!("{address} in the sandbox: {error}"));
        let inventory = Vec::<String>::decode(&known.attrs["inventory"]).unwrap();
        for line in read_inventory(&inventory).unwrap() {
            let object: &Object = &line.object;
            let one = real.session.get(object).await.unwrap().unwrap();
            let other = session.get(object).await.unwrap().unwrap();
            let name = object.to_string();
            differences(&name, &plain(&one), &plain(&other), &mut found);
            let name = format!("{name} owned");
            differences(&name, &owned(&one), &owned(&other), &mut found);
        }
    }
    rig.running.shutdown();
    found
}
