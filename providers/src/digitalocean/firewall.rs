//! `firewall`: which traffic reaches the droplets of some tags.

use super::DigitalOcean;
use super::remote::{Remote, applied, number, path_of, texts};
use http::Method;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, ShapeError, Typical, Wanted,
    object,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

object! {
    /// One rule. Which end the lists mean depends on where the rule stands: sources of inbound
    /// traffic, destinations of outbound traffic.
    pub struct FirewallRule {
        /// `tcp`, `udp` or `icmp`.
        pub protocol: String,
        /// `443`, `8000-9000` or `all`; nothing for `icmp`.
        pub port_range: Option<String>,
        /// Addresses and ranges.
        pub addresses: Vec<String>,
        /// Tags of droplets; each must exist.
        pub tags: Vec<Input<String>>,
        /// Droplets.
        pub droplet_ids: Vec<Input<String>>,
        /// Load balancers.
        pub load_balancer_uids: Vec<Input<String>>,
    }
}

/// A rule for all ports of a protocol and some addresses.
pub fn all_ports(protocol: &str, addresses: &[&str]) -> FirewallRule {
    FirewallRule {
        protocol: protocol.to_owned(),
        port_range: (protocol != "icmp").then(|| "all".to_owned()),
        addresses: addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect(),
        tags: Vec::new(),
        droplet_ids: Vec::new(),
        load_balancer_uids: Vec::new(),
    }
}

object! {
    /// What is asked of a firewall.
    pub struct FirewallArgs {
        /// Its name; unique in the account.
        pub name: String,
        /// Tags of the droplets it protects; each must exist. At most five.
        pub tags: Vec<Input<String>>,
        /// Droplets it protects by id; at most ten.
        pub droplet_ids: Vec<Input<String>>,
        /// What may come in; everything else may not.
        pub inbound_rule: Vec<FirewallRule>,
        /// What may go out; everything else may not.
        pub outbound_rule: Vec<FirewallRule>,
    }
}

object! {
    /// What is seen of a firewall.
    pub struct FirewallAttrs {
        /// Its name.
        pub name: String,
        /// Tags of the droplets it protects.
        pub tags: Vec<String>,
        /// Droplets it protects by id.
        pub droplet_ids: Vec<String>,
        /// What may come in.
        pub inbound_rule: Vec<FirewallRule>,
        /// What may go out.
        pub outbound_rule: Vec<FirewallRule>,
        /// `waiting`, `succeeded` or `failed`.
        pub status: Option<String>,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `firewall`.
pub struct Firewall(pub DigitalOcean);

static FIELDS: [Field; 7] = [
    Field::in_place("name", "Unique in the account."),
    Field::in_place("tags", "Droplets with one of these tags are protected.").by(Compare::Set),
    Field::in_place("droplet_ids", "Droplets protected by id; at most ten.").by(Compare::Set),
    Field::in_place("inbound_rule", "What may come in.").by(Compare::Set),
    Field::in_place("outbound_rule", "What may go out.").by(Compare::Set),
    Field::computed("status", "Whether the rules have reached every droplet."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("firewall"),
    terraform: "digitalocean_firewall",
    doc: "Which traffic reaches the droplets of some tags.",
    fields: &FIELDS,
    // Its name is unique in the account, so two of them cannot stand beside each other.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name"],
    holds: None,
    // Rules reach the droplets within seconds; estimates.
    typical: Typical {
        create: 5,
        update: 5,
        delete: 2,
    },
    max_parallel: 8,
    alike: &[],
    import: Some("the firewall's UUID"),
    operations: &[],
};

/// One end of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
struct End {
    addresses: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    droplet_ids: Option<Vec<i64>>,
    load_balancer_uids: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct RuleRemote {
    protocol: String,
    ports: Option<String>,
    #[serde(alias = "destinations", default)]
    sources: Option<End>,
}

impl RuleRemote {
    fn rule(&self) -> FirewallRule {
        let end = self.sources.clone().unwrap_or_default();
        let inputs = |list: Option<Vec<String>>| -> Vec<Input<String>> {
            list.into_iter().flatten().map(Input::Known).collect()
        };
        let ids = end
            .droplet_ids
            .into_iter()
            .flatten()
            .map(|id| id.to_string());
        FirewallRule {
            protocol: self.protocol.clone(),
            port_range: match self.ports.as_deref() {
                _ if self.protocol == "icmp" => None,
                None | Some("" | "0" | "all") => Some("all".to_owned()),
                Some(ports) => Some(ports.to_owned()),
            },
            addresses: end.addresses.unwrap_or_default(),
            tags: inputs(end.tags),
            droplet_ids: ids.map(Input::Known).collect(),
            load_balancer_uids: inputs(end.load_balancer_uids),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct FirewallRemote {
    id: String,
    name: String,
    status: Option<String>,
    created_at: Option<String>,
    tags: Option<Vec<String>>,
    droplet_ids: Option<Vec<i64>>,
    inbound_rules: Option<Vec<RuleRemote>>,
    outbound_rules: Option<Vec<RuleRemote>>,
}

/// What makes two spellings of a rule one rule: order and repetition in its lists do not count.
fn meaning(rule: &FirewallRule) -> (String, Option<String>, Vec<BTreeSet<String>>) {
    let set = |inputs: &[Input<String>]| -> BTreeSet<String> {
        texts(inputs).unwrap_or_default().into_iter().collect()
    };
    (
        rule.protocol.clone(),
        rule.port_range
            .clone()
            .filter(|ports| ports != "0" && rule.protocol != "icmp"),
        vec![
            rule.addresses.iter().cloned().collect(),
            set(&rule.tags),
            set(&rule.droplet_ids),
            set(&rule.load_balancer_uids),
        ],
    )
}

/// The rules seen, in the spelling in which they were asked for where they mean the same.
fn spelled(seen: Option<&[RuleRemote]>, asked: &[FirewallRule]) -> Vec<FirewallRule> {
    seen.unwrap_or_default()
        .iter()
        .map(|rule| {
            let rule = rule.rule();
            let same = asked.iter().find(|asked| meaning(asked) == meaning(&rule));
            same.cloned().unwrap_or(rule)
        })
        .collect()
}

impl Remote for FirewallRemote {
    type Attrs = FirewallAttrs;
    const PATH: &'static str = "/v2/firewalls";
    const ONE: &'static str = "firewall";
    const MANY: &'static str = "firewalls";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> FirewallAttrs {
        let inbound: Option<Vec<FirewallRule>> = applied(known, "inbound_rule");
        let outbound: Option<Vec<FirewallRule>> = applied(known, "outbound_rule");
        self.seen(&inbound.unwrap_or_default(), &outbound.unwrap_or_default())
    }
}

impl FirewallRemote {
    /// Its attributes, in the spelling of the rules asked for.
    fn seen(&self, inbound: &[FirewallRule], outbound: &[FirewallRule]) -> FirewallAttrs {
        let ids = self.droplet_ids.iter().flatten().map(ToString::to_string);
        FirewallAttrs {
            name: self.name.clone(),
            tags: self.tags.clone().unwrap_or_default(),
            droplet_ids: ids.collect(),
            inbound_rule: spelled(self.inbound_rules.as_deref(), inbound),
            outbound_rule: spelled(self.outbound_rules.as_deref(), outbound),
            status: self.status.clone(),
            created_at: self.created_at.clone(),
        }
    }
}

fn rule_body(rule: &FirewallRule, end: &str) -> Result<Value, ProviderError> {
    let mut ends = Map::new();
    let mut put = |name: &str, list: Vec<Value>| {
        if !list.is_empty() {
            ends.insert(name.to_owned(), Value::Array(list));
        }
    };
    put(
        "addresses",
        rule.addresses
            .iter()
            .map(|address| json!(address))
            .collect(),
    );
    put(
        "tags",
        texts(&rule.tags)?.into_iter().map(Value::String).collect(),
    );
    let droplets: Result<Vec<Value>, ProviderError> = texts(&rule.droplet_ids)?
        .iter()
        .map(|id| number(id).map(|id| json!(id)))
        .collect();
    put("droplet_ids", droplets?);
    let balancers = texts(&rule.load_balancer_uids)?;
    put(
        "load_balancer_uids",
        balancers.into_iter().map(Value::String).collect(),
    );
    if ends.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a firewall rule names nobody it is for",
        ));
    }
    let ports = match rule.port_range.as_deref() {
        None | Some("all") => "0",
        Some(ports) => ports,
    };
    Ok(json!({ "protocol": rule.protocol, "ports": ports, end: ends }))
}

/// The whole firewall: both the create and the update send all of it.
fn body(args: &FirewallArgs) -> Result<Value, ProviderError> {
    if args.inbound_rule.is_empty() && args.outbound_rule.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a firewall needs at least one rule",
        ));
    }
    let rules = |rules: &[FirewallRule], end: &str| -> Result<Vec<Value>, ProviderError> {
        rules.iter().map(|rule| rule_body(rule, end)).collect()
    };
    let ids: Result<Vec<i64>, ProviderError> = texts(&args.droplet_ids)?
        .iter()
        .map(|id| number(id))
        .collect();
    Ok(json!({
        "name": args.name,
        "tags": texts(&args.tags)?,
        "droplet_ids": ids?,
        "inbound_rules": rules(&args.inbound_rule, "sources")?,
        "outbound_rules": rules(&args.outbound_rule, "destinations")?,
    }))
}

/// Every tag that it names.
fn tags(args: &FirewallArgs) -> Result<BTreeSet<String>, ShapeError> {
    let rules = args.inbound_rule.iter().chain(&args.outbound_rule);
    let mut all: BTreeSet<String> = texts(&args.tags)?.into_iter().collect();
    for rule in rules {
        all.extend(texts(&rule.tags)?);
    }
    Ok(all)
}

impl Resource for Firewall {
    type Args = FirewallArgs;
    type Attrs = FirewallAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<FirewallAttrs>, ProviderError> {
        self.0.read::<FirewallRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, FirewallAttrs>, ProviderError> {
        self.0
            .read_all::<FirewallRemote>(known, &FirewallRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, FirewallArgs>,
    ) -> Result<Vec<Found<FirewallAttrs>>, ProviderError> {
        let name = &wanted.args.name;
        self.0
            .search(&FirewallRemote::list(), |firewall: &FirewallRemote| {
                firewall.name == *name
            })
            .await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, FirewallArgs>,
        permit: &Permit,
    ) -> Result<Found<FirewallAttrs>, CreateFailed<FirewallAttrs>> {
        let tags = tags(wanted.args).map_err(ProviderError::from)?;
        let body = body(wanted.args)?;
        let to = (&Method::POST, FirewallRemote::PATH);
        let firewall: FirewallRemote = self.0.naming(permit, &tags, to, &body).await?;
        Ok(Found {
            attrs: firewall.seen(&wanted.args.inbound_rule, &wanted.args.outbound_rule),
            ..firewall.found()
        })
    }

    async fn update(
        &self,
        known: &Known,
        args: &FirewallArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<FirewallAttrs, ProviderError> {
        let path = path_of::<FirewallRemote>(known.id.as_str());
        let to = (&Method::PUT, path.as_str());
        let named = tags(args)?;
        let firewall: FirewallRemote = self.0.naming(permit, &named, to, &body(args)?).await?;
        Ok(firewall.seen(&args.inbound_rule, &args.outbound_rule))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<FirewallRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &FirewallAttrs) -> Readiness {
        match attrs.status.as_deref() {
            Some("failed") => {
                Readiness::Failed("DigitalOcean could not apply the rules to every droplet".into())
            }
            Some("waiting") => Readiness::Waiting("the rules are on their way".into()),
            _ => Readiness::Ready,
        }
    }
}
