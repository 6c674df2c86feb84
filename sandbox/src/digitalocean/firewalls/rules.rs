//! One firewall rule: a protocol, ports, and who is at the other end.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::digitalocean::{droplets, required, tags};
use crate::http::ApiError;
use crate::world::World;

/// A checked rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    protocol: String,
    ports: String,
    peer: Peer,
}

/// The other end: sources of an inbound rule, destinations of an outbound one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Peer {
    addresses: Option<Vec<String>>,
    droplet_ids: Option<Vec<u64>>,
    load_balancer_uids: Option<Vec<String>>,
    kubernetes_ids: Option<Vec<String>>,
    tags: Option<Vec<String>>,
}

impl Peer {
    /// A list of nothing is no list, so that equal rules are the same.
    fn drop_empty(&mut self) {
        let lists = [
            &mut self.addresses,
            &mut self.load_balancer_uids,
            &mut self.kubernetes_ids,
            &mut self.tags,
        ];
        for list in lists {
            *list = list.take().filter(|values| !values.is_empty());
        }
        self.droplet_ids = self.droplet_ids.take().filter(|ids| !ids.is_empty());
    }
}

/// A rule as sent.
#[derive(Deserialize)]
pub(super) struct RuleBody {
    protocol: Option<String>,
    ports: Option<String>,
    sources: Option<Peer>,
    destinations: Option<Peer>,
}

pub(super) fn inbound(world: &World, rules: Vec<RuleBody>) -> Result<Vec<Rule>, ApiError> {
    rules
        .into_iter()
        .map(|mut rule| {
            let peer = required(rule.sources.take(), "inbound_rules.sources")?;
            check(world, &rule, peer)
        })
        .collect()
}

pub(super) fn outbound(world: &World, rules: Vec<RuleBody>) -> Result<Vec<Rule>, ApiError> {
    rules
        .into_iter()
        .map(|mut rule| {
            let peer = required(rule.destinations.take(), "outbound_rules.destinations")?;
            check(world, &rule, peer)
        })
        .collect()
}

fn check(world: &World, body: &RuleBody, mut peer: Peer) -> Result<Rule, ApiError> {
    let protocol = required(body.protocol.clone(), "protocol")?;
    let ports = match (protocol.as_str(), body.ports.as_deref()) {
        ("icmp", _) => "0".to_owned(),
        ("tcp" | "udp", Some(ports)) => valid_ports(ports)?,
        ("tcp" | "udp", None) => return Err(ApiError::unprocessable("ports is required")),
        _ => {
            let message = format!("protocol {protocol:?} must be tcp, udp or icmp");
            return Err(ApiError::unprocessable(message));
        }
    };
    for address in peer.addresses.iter().flatten() {
        if address.parse::<IpNet>().is_err() && address.parse::<IpAddr>().is_err() {
            let message = format!("{address:?} is not an IP address or CIDR");
            return Err(ApiError::unprocessable(message));
        }
    }
    for id in peer.droplet_ids.iter().flatten() {
        if !world.droplets.contains(&droplets::key(*id)) {
            return Err(ApiError::unprocessable(format!(
                "droplet {id} does not exist"
            )));
        }
    }
    for id in peer.load_balancer_uids.iter().flatten() {
        if !world.load_balancers.contains(id) {
            return Err(ApiError::unprocessable(format!(
                "load balancer {id} does not exist"
            )));
        }
    }
    // The sandbox has none, so none can be named.
    if let Some(id) = peer.kubernetes_ids.iter().flatten().next() {
        return Err(ApiError::unprocessable(format!(
            "Kubernetes cluster {id} does not exist"
        )));
    }
    for tag in peer.tags.iter_mut().flatten() {
        *tag = tags::existing(world, tag)?;
    }
    peer.drop_empty();
    Ok(Rule {
        protocol,
        ports,
        peer,
    })
}

/// A port, a range, or `0` (also written `all`) for every port.
fn valid_ports(ports: &str) -> Result<String, ApiError> {
    if matches!(ports, "0" | "all") {
        return Ok("0".to_owned());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first > 0 && first <= last => Ok(ports.to_owned()),
        _ => Err(ApiError::unprocessable(format!(
            "{ports:?} is not a port or a range of ports"
        ))),
    }
}

impl Rule {
    pub(super) fn names_tag(&self, name: &str) -> bool {
        self.peer
            .tags
            .iter()
            .flatten()
            .any(|tag| tags::same(tag, name))
    }

    pub(super) fn names_droplet(&self, id: u64) -> bool {
        self.peer.droplet_ids.iter().flatten().any(|own| *own == id)
    }

    pub(super) fn names_balancer(&self, id: &str) -> bool {
        self.peer
            .load_balancer_uids
            .iter()
            .flatten()
            .any(|own| own == id)
    }

    pub(super) fn forget_droplet(&mut self, id: u64) {
        if let Some(own) = &mut self.peer.droplet_ids {
            own.retain(|own| *own != id);
        }
        self.peer.drop_empty();
    }

    pub(super) fn forget_balancer(&mut self, id: &str) {
        if let Some(own) = &mut self.peer.load_balancer_uids {
            own.retain(|own| own != id);
        }
        self.peer.drop_empty();
    }

    pub(super) fn forget_tag(&mut self, name: &str) {
        if let Some(own) = &mut self.peer.tags {
            own.retain(|tag| !tags::same(tag, name));
        }
        self.peer.drop_empty();
    }

    /// The rule as shown, its other end under `side`.
    pub(super) fn view(&self, side: &str) -> Value {
        let peer = &self.peer;
        let mut shown = Map::new();
        let strings = [
            ("addresses", &peer.addresses),
            ("load_balancer_uids", &peer.load_balancer_uids),
            ("kubernetes_ids", &peer.kubernetes_ids),
            ("tags", &peer.tags),
        ];
        for (name, values) in strings {
            if let Some(values) = values.as_ref().filter(|values| !values.is_empty()) {
                shown.insert(name.to_owned(), json!(values));
            }
        }
        if let Some(ids) = peer.droplet_ids.as_ref().filter(|ids| !ids.is_empty()) {
            shown.insert("droplet_ids".to_owned(), json!(ids));
        }
        json!({ "protocol": self.protocol, "ports": self.ports, side: shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_a_range_or_all() {
        for (given, kept) in [
            ("22", "22"),
            ("8000-9000", "8000-9000"),
            ("all", "0"),
            ("0", "0"),
        ] {
            assert_eq!(valid_ports(given).unwrap(), kept);
        }
        for bad in ["", "0-5", "9000-8000", "70000", "ssh", "1-2-3"] {
            assert_eq!(valid_ports(bad).unwrap_err().status, 422, "{bad}");
        }
    }
}
