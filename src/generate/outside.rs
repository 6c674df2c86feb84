//! What is not written down, and why: what a cluster or DigitalOcean made for itself is theirs, and a
//! record of it here would let two of them change one thing.

use kplan_model::{Owner, Value};
use kplan_providers::digitalocean::{Discovered, is_digitaloceans, owning_cluster};
use kplan_schema::value::StateBackend;
use std::collections::BTreeSet;

/// The droplets and networks of clusters that kplan keeps elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Outside {
    /// Their names.
    clusters: BTreeSet<String>,
    /// What the names of their buckets begin with.
    buckets: BTreeSet<String>,
    /// The bucket that holds this file's state.
    state: Option<String>,
    droplets: BTreeSet<String>,
    vpcs: BTreeSet<String>,
    /// This file's own tag.
    owner: String,
}

fn text<'a>(one: &'a Discovered, name: &str) -> Option<&'a str> {
    match one.attrs.get(name) {
        Some(Value::Str(text)) => Some(text.as_str()),
        _ => None,
    }
}

fn texts<'a>(one: &'a Discovered, name: &str) -> Vec<&'a str> {
    let Some(Value::List(list)) = one.attrs.get(name) else {
        return Vec::new();
    };
    let texts = list.iter().filter_map(|value| match value {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Whether a tag is one of DigitalOcean's own Kubernetes.
fn is_of_doks(tag: &str) -> bool {
    tag == "k8s" || tag.starts_with("k8s:")
}

impl Outside {
    /// By the tags of what there is.
    pub(super) fn of(all: &[Discovered], owner: &Owner, state: &StateBackend) -> Self {
        let mut outside = Self {
            owner: owner.tag(),
            state: match state {
                StateBackend::S3(place) => Some(place.bucket.clone()),
                StateBackend::Local => None,
            },
            ..Self::default()
        };
        for one in all {
            let theirs = one.tags.iter().filter(|tag| **tag != outside.owner);
            let theirs: Vec<(&String, &str)> = theirs
                .filter_map(|tag| Some((tag, owning_cluster(tag)?)))
                .collect();
            if theirs.is_empty() {
                continue;
            }
            for (tag, cluster) in theirs {
                outside.clusters.insert(cluster.to_owned());
                outside.buckets.insert(tag.replace(':', "-"));
            }
            if one.kind == "droplet" {
                outside.droplets.insert(one.id.clone());
                outside.vpcs.extend(one.vpc.clone());
            }
        }
        outside
    }

    /// Why something is left out; an empty text where nobody needs to be told.
    pub(super) fn reason(&self, one: &Discovered) -> Option<String> {
        match one.kind {
            // A tag comes with what carries it.
            "tag" => return Some(String::new()),
            "project" => return Some("[project] is for what a file has made".to_owned()),
            _ => {}
        }
        if one.kind == "bucket" {
            return self.by_name(&one.name);
        }
        self.by_tag(one)
            .or_else(|| self.by_place(one))
            .or_else(|| by_kind(one))
    }

    /// What a reader has to know of domains, which carry no tag, where there are other clusters.
    pub(super) fn domains(&self) -> Option<String> {
        if self.clusters.is_empty() {
            return None;
        }
        let clusters: Vec<&str> = self.clusters.iter().map(String::as_str).collect();
        Some(format!(
            "Nothing tells whose a domain is, and the account has other clusters of kplan's ({}): take \
             out of this file the domains and records that one of theirs has.",
            clusters.join(", ")
        ))
    }

    fn by_name(&self, bucket: &str) -> Option<String> {
        if self.state.as_deref() == Some(bucket) {
            return Some("holds this file's state".to_owned());
        }
        let theirs = self.buckets.iter().any(|it| bucket.starts_with(it));
        theirs.then(|| "belongs to what a kplan cluster has".to_owned())
    }

    fn by_tag(&self, one: &Discovered) -> Option<String> {
        if one.tags.contains(&self.owner) {
            return Some(
                "has this cluster's tag and is not on its record; `kplan drift` tells of it"
                    .to_owned(),
            );
        }
        if let Some(cluster) = one.tags.iter().find_map(|tag| owning_cluster(tag)) {
            return Some(format!("belongs to the kplan cluster {cluster}"));
        }
        let targets = text(one, "droplet_tag");
        let mut tags = one.tags.iter().map(String::as_str).chain(targets);
        let doks = tags.any(is_of_doks);
        (doks && !one.is_made_by_cluster())
            .then(|| "belongs to a cluster of DigitalOcean's own Kubernetes".to_owned())
    }

    /// By what it stands beside: what takes no tag of an owner is known by that alone.
    fn by_place(&self, one: &Discovered) -> Option<String> {
        let droplets = texts(one, "droplet_ids");
        let mut droplets = droplets.into_iter().chain(text(one, "droplet_id"));
        let serves = droplets.any(|id| self.droplets.contains(id));
        let named = self.clusters.iter().find(|cluster| {
            let tags = one.tags.iter().map(String::as_str);
            let mut tags = tags.chain(text(one, "droplet_tag"));
            // The names that kplan gives, and no others that begin so.
            let given = |name: &str, parts: &[&str]| {
                let part = name.strip_prefix(cluster.as_str());
                let part = part.and_then(|rest| rest.strip_prefix('-'));
                part.is_some_and(|part| parts.contains(&part))
            };
            let key = one.kind == "ssh_key" && given(&one.name, &["throwaway"]);
            key || tags.any(|tag| given(tag, &["server", "agent"]))
        });
        let holds = one.kind == "vpc" && self.vpcs.contains(&one.id);
        if let Some(cluster) = named {
            return Some(format!("belongs to the kplan cluster {cluster}"));
        }
        (serves || holds).then(|| "belongs to what a kplan cluster has".to_owned())
    }
}

/// By what it is.
fn by_kind(one: &Discovered) -> Option<String> {
    if one.is_made_by_cluster() {
        let maker = if one.kind == "volume" {
            "a cluster's storage driver made it for a claim"
        } else {
            "a cluster's cloud controller made it for a Service"
        };
        return Some(maker.to_owned());
    }
    if one.is_default_vpc() {
        return Some(
            "the default of its region, which a block without a `vpc` stands in".to_owned(),
        );
    }
    if one.kind != "domain_record" {
        return None;
    }
    let (kind, name) = (text(one, "type")?, text(one, "name")?);
    if text(one, "value").is_some_and(|value| is_digitaloceans(kind, name, value)) {
        return Some(String::new());
    }
    match kind {
        "A" | "AAAA" | "CNAME" | "MX" | "NS" | "SRV" | "TXT" => None,
        // The domain's own is DigitalOcean's.
        "SOA" => Some(String::new()),
        other => Some(format!("kplan keeps no {other} records")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Object;

    fn owner() -> Owner {
        Owner {
            cluster: "mine".to_owned(),
            suffix: "00000000".to_owned(),
        }
    }

    fn one(kind: &'static str, id: &str, tags: &[&str]) -> Discovered {
        Discovered {
            kind,
            id: id.to_owned(),
            name: format!("name-{id}"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            vpc: Some("net".to_owned()),
            region: None,
            size: None,
            attrs: Object::new(),
            created_at: None,
        }
    }

    fn with(mut one: Discovered, name: &str, value: Value) -> Discovered {
        one.attrs.insert(name.to_owned(), value);
        one
    }

    #[test]
    fn what_stands_around_a_cluster_of_kplans_is_left_to_it() {
        let node = one("droplet", "1", &["kplan:shop-1a2b3c4d", "shop-server"]);
        let outside = Outside::of(std::slice::from_ref(&node), &owner(), &StateBackend::Local);
        let left = |one: &Discovered| outside.reason(one).is_some();
        assert!(left(&node));
        assert!(outside.domains().expect("a note").contains("(shop)"));
        assert!(left(&one("vpc", "net", &[])));
        assert!(left(&one("firewall", "f", &["shop-server"])));
        assert!(left(&with(
            one("load_balancer", "l", &[]),
            "droplet_tag",
            Value::str("shop-server")
        )));
        assert!(left(&with(
            one("reserved_ip", "i", &[]),
            "droplet_id",
            Value::str("1")
        )));
        assert!(!left(&one("droplet", "2", &["web"])));
        assert!(!left(&one("vpc", "other", &[])));
        assert!(!left(&one("firewall", "g", &["shopping"])));
        assert!(!left(&one("droplet", "8", &["shop-prod"])));
        let bucket = |name: &str| Discovered {
            name: name.to_owned(),
            ..one("bucket", name, &[])
        };
        assert!(left(&bucket("kplan-shop-1a2b3c4d-0f1e2d3c")) && !left(&bucket("assets")));
        // Its own, which is on no record, is not taken for somebody else's.
        let lost = one("droplet", "3", &["kplan:mine-00000000"]);
        assert!(outside.reason(&lost).expect("a reason").contains("drift"));
    }

    #[test]
    fn what_a_cluster_or_digitalocean_made_is_theirs() {
        let outside = Outside::of(&[], &owner(), &StateBackend::Local);
        let reason = |one: &Discovered| outside.reason(one);
        assert!(reason(&one("droplet", "1", &["k8s", "k8s:worker"])).is_some());
        let mut volume = one("volume", "v", &[]);
        assert_eq!(reason(&volume), None);
        volume.name = "pvc-0b1c2d3e-0000-4000-8000-0123456789ab".to_owned();
        assert!(reason(&volume).is_some());
        let default = with(one("vpc", "d", &[]), "default", Value::Bool(true));
        assert!(reason(&default).is_some());
        let record = |kind: &str, name: &str| {
            let record = with(one("domain_record", "r", &[]), "type", Value::str(kind));
            reason(&with(record, "name", Value::str(name)))
        };
        assert_eq!(record("NS", "sub"), None);
        assert_eq!(record("NS", "@"), None);
        let own = with(one("domain_record", "r", &[]), "type", Value::str("NS"));
        let own = with(own, "name", Value::str("@"));
        let own = with(own, "value", Value::str("ns1.digitalocean.com"));
        assert_eq!(reason(&own).as_deref(), Some(""));
        assert_eq!(
            record("CAA", "@").as_deref(),
            Some("kplan keeps no CAA records")
        );
    }
}
