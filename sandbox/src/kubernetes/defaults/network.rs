//! Defaults of services and network policies, and the addresses services get.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{each, has_items, has_map};
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::object::{self, at, items, set, set_default, text};

/// Ports a `NodePort` may have, K3s's default range.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// Fills in a Service; addresses and node ports once given stay.
pub(crate) fn service(server: &ApiServer, object: &mut Value, old: Option<&Value>) {
    set_default(object, &["spec", "type"], "ClusterIP");
    set_default(object, &["spec", "sessionAffinity"], "None");
    if let Some(spec) = object.get_mut("spec") {
        each(spec, "ports", |port| {
            set_default(port, &["protocol"], "TCP");
            let number = port["port"].clone();
            set_default(port, &["targetPort"], number);
        });
    }
    let kind = text(object, &["spec", "type"])
        .unwrap_or_default()
        .to_owned();
    if kind == "ExternalName" {
        return;
    }
    set_default(object, &["spec", "internalTrafficPolicy"], "Cluster");
    set_default(object, &["spec", "ipFamilyPolicy"], "SingleStack");
    set_default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
    cluster_ip(server, object, old);
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set_default(object, &["spec", "externalTrafficPolicy"], "Cluster");
        node_ports(server, object, old);
    }
    if kind == "LoadBalancer" {
        set_default(object, &["spec", "allocateLoadBalancerNodePorts"], true);
    }
    set_default(object, &["status", "loadBalancer"], json!({}));
}

fn cluster_ip(server: &ApiServer, object: &mut Value, old: Option<&Value>) {
    if let Some(kept) = old.and_then(|old| text(old, &["spec", "clusterIP"])) {
        set_default(object, &["spec", "clusterIP"], kept);
    }
    if text(object, &["spec", "clusterIP"]).is_none_or(str::is_empty) {
        let services = server.storage.all("/services");
        let taken: BTreeSet<&str> = services
            .iter()
            .filter_map(|other| text(other, &["spec", "clusterIP"]))
            .collect();
        // 10.43.0.0/16 is K3s's service network; .0.1 is the API, .0.10 the DNS. Seeded numbers,
        // then the first free one, so that a full network ends the search.
        let start = server.rng.u64() % 65_024;
        let free = (0..65_024_u64).map(|step| {
            let n = 256 + (start + step) % 65_024;
            format!("10.43.{}.{}", n / 256, n % 256)
        });
        if let Some(address) = free
            .into_iter()
            .find(|address| !taken.contains(address.as_str()))
        {
            set(object, &["spec", "clusterIP"], address);
        }
    }
    let address = at(object, &["spec", "clusterIP"])
        .cloned()
        .unwrap_or_default();
    set_default(object, &["spec", "clusterIPs"], json!([address]));
}

fn node_ports(server: &ApiServer, object: &mut Value, old: Option<&Value>) {
    let services = server.storage.all("/services");
    let mut taken: BTreeSet<i64> = services
        .iter()
        .flat_map(|other| {
            items(other, &["spec", "ports"])
                .iter()
                .filter_map(|port| port["nodePort"].as_i64())
        })
        .collect();
    let previous: Vec<Value> = old
        .map(|old| items(old, &["spec", "ports"]).to_vec())
        .unwrap_or_default();
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    each(spec, "ports", |port| {
        let same =
            |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if let Some(kept) = previous
            .iter()
            .find(same)
            .and_then(|other| other["nodePort"].as_i64())
        {
            set_default(port, &["nodePort"], kept);
        }
        if object::number(port, &["nodePort"]).is_none()
            && let Some(free) = NODE_PORTS
                .into_iter()
                .find(|number| !taken.contains(number))
        {
            taken.insert(free);
            set(port, &["nodePort"], free);
        }
    });
}

/// Fills in a `NetworkPolicy`.
pub(crate) fn policy(object: &mut Value) {
    for rules in ["ingress", "egress"] {
        if let Some(spec) = object.get_mut("spec") {
            each(spec, rules, |rule| {
                each(rule, "ports", |port| {
                    set_default(port, &["protocol"], "TCP");
                });
            });
        }
    }
    if !has_items(object, &["spec", "policyTypes"]) && has_map(object, &["spec"]) {
        let egress = has_items(object, &["spec", "egress"]);
        let types = if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        set(object, &["spec", "policyTypes"], types);
    }
}
