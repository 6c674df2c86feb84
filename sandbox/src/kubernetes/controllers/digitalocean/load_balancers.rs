//! The service part of the cloud controller manager: a load balancer for each Service of that type.
//!
//! Health checks and the settings that come by annotation are left at their defaults, but for name,
//! type, network and size.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{Account, SYSTEM, Silent, droplet, hold, let_go, region};
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::nodes::cloud_controller_works;
use crate::kubernetes::object::{self, Object, items, set, text};

const SERVICES: &str = "/services";
/// Keeps a Service until its load balancer is deleted.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The load balancer of a Service.
const ID: &str = "kubernetes.digitalocean.com/load-balancer-id";
/// What annotations of a Service begin with.
const BASE: &str = "service.beta.kubernetes.io/do-loadbalancer-";
/// Says that the load balancer is nobody's business.
const DISOWN: &str = "service.kubernetes.io/do-loadbalancer-disown";
/// A node that takes no traffic from outside.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// Until the manager looks again at a load balancer that is new, or at what was refused.
const AGAIN: Duration = Duration::from_secs(15);
/// Where kube-proxy says whether a node is well.
const HEALTH_PORT: u16 = 10_256;

/// What the load balancers of Services were last told to be, by the Service's uid: the settings, and
/// the droplets.
pub(in super::super) type Ensured = BTreeMap<String, (Value, Value)>;

/// One pass over all Services.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    if !cloud_controller_works(pass) {
        return;
    }
    for service in pass.all(SERVICES) {
        let balanced = text(&service, &["spec", "type"]) == Some("LoadBalancer")
            && text(&service, &["spec", "loadBalancerClass"]).is_none();
        let held = items(&service, &["metadata", "finalizers"]).contains(&json!(FINALIZER));
        if object::terminating(&service) || !balanced {
            if held {
                remove(pass, &service);
            }
        } else {
            hold(pass, SERVICES, &service, &[FINALIZER]);
            ensure(pass, &service);
        }
    }
}

fn setting<'s>(service: &'s Value, name: &str) -> Option<&'s str> {
    object::annotation(service, &format!("{BASE}{name}")).filter(|value| !value.is_empty())
}

fn is_disowned(service: &Value) -> bool {
    object::annotation(service, DISOWN) == Some("true")
}

/// The name of a Service's load balancer: its own, or the one Kubernetes gives to all clouds.
fn name(service: &Value) -> String {
    let own = setting(service, "name").map(str::to_owned);
    own.unwrap_or_else(|| {
        let mut name = format!("a{}", object::uid(service).replace('-', ""));
        name.truncate(32);
        name
    })
}

/// What the manager was told in its environment.
fn environment(pass: &Pass<'_>, name: &str) -> Option<String> {
    let manager = "digitalocean-cloud-controller-manager";
    let deployment = pass.get("apps/deployments", SYSTEM, manager)?;
    let containers = items(&deployment, &["spec", "template", "spec", "containers"]);
    let mut set = containers.iter().flat_map(|one| items(one, &["env"]));
    let found = set.find(|one| text(one, &["name"]) == Some(name))?;
    text(found, &["value"]).map(str::to_owned)
}

/// The load balancer a Service is to have, but for its droplets.
fn wanted(pass: &Pass<'_>, service: &Value) -> Option<Value> {
    let default = environment(pass, "DEFAULT_LB_TYPE");
    let default = default.as_deref().unwrap_or("REGIONAL_NETWORK");
    let kind = setting(service, "type").unwrap_or(default);
    let network = setting(service, "network").unwrap_or("EXTERNAL");
    let ports = items(service, &["spec", "ports"]).iter();
    let rules: Vec<Value> = ports
        .map(|port| {
            let protocol = text(port, &["protocol"]).unwrap_or("TCP").to_lowercase();
            // A network load balancer passes packets on as they are; the other sends them to the
            // port that every node has for the Service.
            let target = if kind == "REGIONAL" {
                &port["nodePort"]
            } else {
                &port["port"]
            };
            json!({
                "entry_protocol": protocol, "entry_port": port["port"],
                "target_protocol": protocol, "target_port": target,
            })
        })
        .collect();
    let local = text(service, &["spec", "externalTrafficPolicy"]) == Some("Local");
    let own = service["spec"]["healthCheckNodePort"]
        .as_u64()
        .filter(|_| local);
    let port = own.unwrap_or(u64::from(HEALTH_PORT));
    let mut body = json!({
        "name": name(service), "region": environment(pass, "REGION").or_else(|| region(pass))?,
        "forwarding_rules": rules, "type": kind, "network": network,
        "health_check": {"protocol": "http", "port": port, "path": "/healthz",
            "check_interval_seconds": 3, "response_timeout_seconds": 5,
            "unhealthy_threshold": 3, "healthy_threshold": 5},
        "disable_lets_encrypt_dns_records": false,
    });
    if let Some(vpc) = environment(pass, "DO_CLUSTER_VPC_ID") {
        body["vpc_uuid"] = vpc.into();
    }
    if let Some(unit) = setting(service, "size-unit").and_then(|unit| unit.parse::<u32>().ok()) {
        body["size_unit"] = unit.into();
    }
    Some(body)
}

/// The droplets of the nodes that take traffic.
fn droplets(pass: &Pass<'_>) -> Value {
    let nodes = pass.all("/nodes");
    let takes = |node: &&Object| object::label(node, EXCLUDED).is_none();
    let ids = nodes.iter().filter(takes);
    let ids = ids.filter_map(|node| droplet(text(node, &["spec", "providerID"])?));
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_unstable();
    json!(ids)
}

/// The load balancer of a Service; nothing where there is none.
fn find(account: &Account, service: &Value) -> Result<Option<Value>, Silent> {
    if let Some(id) = object::annotation(service, ID).filter(|id| !id.is_empty()) {
        let found = account.get(&format!("/v2/load_balancers/{id}"))?;
        return Ok(found.map(|found| found["load_balancer"].clone()));
    }
    let name = name(service);
    let all = account.list("/v2/load_balancers", "load_balancers");
    let mut all = all.ok_or(Silent)?.into_iter();
    Ok(all.find(|one| one["name"] == json!(name)))
}

fn ensure(pass: &mut Pass<'_>, service: &Object) {
    if is_disowned(service) {
        return;
    }
    let Some(wanted) = wanted(pass, service) else {
        return;
    };
    let droplets = droplets(pass);
    if droplets == json!([]) {
        // `no ready nodes available for load balancer`
        return;
    }
    let uid = object::uid(service).to_owned();
    let told = pass.ensured.get(&uid).cloned();
    let shown = !items(service, &["status", "loadBalancer", "ingress"]).is_empty();
    if shown && told.as_ref() == Some(&(wanted.clone(), droplets.clone())) {
        return;
    }
    if !pass.turn("balance", service, Duration::ZERO, AGAIN) {
        return;
    }
    let Some(account) = Account::of(pass) else {
        return;
    };
    let Ok(found) = find(&account, service) else {
        return;
    };
    let mut body = wanted.clone();
    body["droplet_ids"] = droplets.clone();
    let balancer = match found {
        Some(found) if told.as_ref() == Some(&(wanted.clone(), droplets.clone())) => Some(found),
        Some(found) => {
            let id = found["id"].as_str().unwrap_or_default();
            account.send(Method::PUT, &format!("/v2/load_balancers/{id}"), &body)
        }
        // Only its nodes changed: one that somebody deleted is not made again for that.
        None if shown && told.as_ref().is_some_and(|told| told.0 == wanted) => return,
        None => account.send(Method::POST, "/v2/load_balancers", &body),
    };
    let Some(balancer) = balancer.map(|one| one.get("load_balancer").cloned().unwrap_or(one))
    else {
        return;
    };
    pass.ensured.insert(uid, (wanted, droplets));
    show(pass, service, &balancer);
}

/// Writes on the Service which load balancer it has, and its address once there is one.
fn show(pass: &Pass<'_>, service: &Object, balancer: &Value) {
    pass.adjust(SERVICES, service, |service| {
        set(
            service,
            &["metadata", "annotations", ID],
            balancer["id"].clone(),
        );
        let kind = format!("{BASE}type");
        set(
            service,
            &["metadata", "annotations", &kind],
            balancer["type"].clone(),
        );
    });
    if balancer["status"] == json!("active") {
        let address = json!([{"ip": balancer["ip"], "ipMode": "VIP"}]);
        pass.adjust(SERVICES, service, |service| {
            set(service, &["status", "loadBalancer", "ingress"], address);
        });
    }
}

/// Deletes the load balancer of a Service that goes or is of another type now.
fn remove(pass: &mut Pass<'_>, service: &Object) {
    if !pass.turn("unbalance", service, Duration::ZERO, AGAIN) {
        return;
    }
    let gone = is_disowned(service)
        || Account::of(pass).is_some_and(|account| match find(&account, service) {
            Ok(None) => true,
            Ok(Some(found)) => {
                let id = found["id"].as_str().unwrap_or_default();
                account.delete(&format!("/v2/load_balancers/{id}"))
            }
            Err(Silent) => false,
        });
    if gone {
        pass.ensured.remove(object::uid(service));
        pass.adjust(SERVICES, service, |service| {
            set(service, &["status", "loadBalancer"], json!({}));
        });
        let_go(pass, SERVICES, service, &[FINALIZER]);
    }
}
