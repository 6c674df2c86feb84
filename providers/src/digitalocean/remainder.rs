//! Whether anything of a cluster is left in the account: list calls, compared with the marks it had.
//! Changes nothing.

use super::DigitalOcean;
use crate::http::List;
use kplan_model::{ErrorKind, ProviderError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is listed: its name, its path, its key in an answer, the field that identifies one.
const LISTS: [(&str, &str, &str, &str); 8] = [
    ("droplet", "/v2/droplets", "droplets", "id"),
    (
        "load balancer",
        "/v2/load_balancers",
        "load_balancers",
        "id",
    ),
    ("volume", "/v2/volumes", "volumes", "id"),
    ("snapshot", "/v2/snapshots", "snapshots", "id"),
    ("database", "/v2/databases", "databases", "id"),
    ("firewall", "/v2/firewalls", "firewalls", "id"),
    ("VPC", "/v2/vpcs", "vpcs", "id"),
    ("tag", "/v2/tags", "tags", "name"),
];

/// What a cluster's resources were told from others by.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The owner's tag.
    pub tag: String,
    /// The cluster's own VPCs.
    pub vpcs: BTreeSet<String>,
    /// Ids of what stays.
    pub kept: BTreeSet<String>,
    /// Ids of what stands in these VPCs and was somebody else's before anything was destroyed.
    pub others: BTreeSet<String>,
    /// Names that kplan gave, by what [`Remnant::what`] calls what has them.
    pub names: BTreeMap<String, BTreeSet<String>>,
}

/// Something that is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remnant {
    /// What it is: `load balancer`.
    pub what: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What tells that it is the cluster's: `carries kplan:demo-3f9a1c2e`.
    pub why: String,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is the cluster's.
    pub left: Vec<Remnant>,
    /// What stands in the cluster's VPC and is somebody else's.
    pub others: Vec<Remnant>,
    /// Ids of what stays, as far as it was seen.
    pub kept: BTreeSet<String>,
    /// What is only called as something of the cluster was: nothing proves that it is.
    pub alike: Vec<Remnant>,
    /// What the token has no right to list.
    pub unlisted: Vec<&'static str>,
}

/// Looks for what is left, by eight lists.
///
/// # Errors
/// Those of DigitalOcean, but for a list that the token has no right to.
pub async fn remainder(cloud: &DigitalOcean, traces: &Traces) -> Result<Seen, ProviderError> {
    let mut seen = Seen::default();
    for (what, path, key, id) in LISTS {
        let list = List::new(path, key, id);
        // Databases come whole: their list has no pages.
        let list = if what == "database" {
            list.whole()
        } else {
            list
        };
        let listed: Result<Vec<Value>, ProviderError> = cloud.http().list(&list).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if error.kind == ErrorKind::Denied => {
                seen.unlisted.push(what);
                continue;
            }
            Err(error) => return Err(error),
        };
        for one in &listed {
            let remnant = |why: String| Remnant {
                what: what.to_owned(),
                id: text(one, id),
                name: text(one, "name"),
                why,
            };
            if traces.kept.contains(&text(one, id)) {
                seen.kept.insert(text(one, id));
                continue;
            }
            if let Some(why) = traces.prove((what, id), one) {
                if traces.others.contains(&text(one, id)) && !traces.tags(one) {
                    seen.others.push(remnant(why));
                } else {
                    seen.left.push(remnant(why));
                }
            } else if traces.is_called_alike(what, one) {
                seen.alike.push(remnant("is called so".to_owned()));
            }
        }
    }
    Ok(seen)
}

fn text(one: &Value, field: &str) -> String {
    match &one[field] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Its tags. Those of a firewall are whom it is for, and as much a mark.
fn tags(one: &Value) -> impl Iterator<Item = &str> {
    let tags = one["tags"].as_array().into_iter().flatten();
    tags.filter_map(Value::as_str)
}

impl Traces {
    /// Whether it carries the owner's tag.
    fn tags(&self, one: &Value) -> bool {
        tags(one).any(|tag| tag.eq_ignore_ascii_case(&self.tag))
    }

    /// What tells that something is the cluster's.
    fn prove(&self, (what, id): (&str, &str), one: &Value) -> Option<String> {
        if what == "tag" {
            let own = text(one, "name").eq_ignore_ascii_case(&self.tag);
            return own.then(|| "is the owner's tag".to_owned());
        }
        if what == "VPC" {
            return self
                .vpcs
                .contains(&text(one, id))
                .then(|| "is the cluster's network".to_owned());
        }
        if self.tags(one) {
            return Some(format!("carries {}", self.tag));
        }
        let places = ["vpc_uuid", "private_network_uuid"];
        let inside = places.into_iter().find(|place| {
            let vpc = text(one, place);
            !vpc.is_empty() && self.vpcs.contains(&vpc)
        });
        inside.map(|_| "stands in the cluster's VPC".to_owned())
    }

    /// Whether it has a name that kplan gave, and no other cluster's tag.
    fn is_called_alike(&self, what: &str, one: &Value) -> bool {
        let others = |tag: &str| tag.starts_with("kplan:") && !tag.eq_ignore_ascii_case(&self.tag);
        let named = |names: &BTreeSet<String>| names.contains(&text(one, "name"));
        self.names.get(what).is_some_and(named) && !tags(one).any(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn traces() -> Traces {
        Traces {
            tag: "kplan:demo-3f9a1c2e".to_owned(),
            vpcs: BTreeSet::from(["net".to_owned()]),
            names: BTreeMap::from([(
                "droplet".to_owned(),
                BTreeSet::from(["demo-servers-0".to_owned()]),
            )]),
            ..Traces::default()
        }
    }

    #[test]
    fn a_tag_or_the_vpc_proves_and_a_name_does_not() {
        let proves = |what: &str, id: &str, one: Value| traces().prove((what, id), &one).is_some();
        let tagged = json!({ "id": 7, "name": "x", "tags": ["KPLAN:demo-3f9a1c2e"] });
        assert!(proves("droplet", "id", tagged));
        assert!(proves(
            "load balancer",
            "id",
            json!({ "id": "a", "vpc_uuid": "net" })
        ));
        let database = json!({ "id": "a", "private_network_uuid": "net" });
        assert!(proves("database", "id", database));
        assert!(proves("VPC", "id", json!({ "id": "net" })));
        assert!(proves(
            "tag",
            "name",
            json!({ "name": "kplan:demo-3f9a1c2e" })
        ));
        for (what, id, one) in [
            (
                "droplet",
                "id",
                json!({ "id": 7, "name": "demo-servers-0", "tags": [] }),
            ),
            (
                "droplet",
                "id",
                json!({ "id": 7, "tags": ["kplan:demo-00000000"] }),
            ),
            ("volume", "id", json!({ "id": "a", "tags": null })),
            (
                "load balancer",
                "id",
                json!({ "id": "a", "vpc_uuid": "other" }),
            ),
            ("tag", "name", json!({ "name": "kplan:demo2-3f9a1c2e" })),
        ] {
            assert!(!proves(what, id, one.clone()), "{one}");
        }
    }

    #[test]
    fn what_is_called_alike_and_carries_another_clusters_tag_is_that_ones() {
        let one = |tags: Value| json!({ "id": 7, "name": "demo-servers-0", "tags": tags });
        assert!(traces().is_called_alike("droplet", &one(json!(["web"]))));
        assert!(!traces().is_called_alike("droplet", &one(json!(["kplan:demo-00000000"]))));
        assert!(!traces().is_called_alike("volume", &one(json!([]))));
    }
}
