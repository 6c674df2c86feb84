//! Free-standing firewalls, load balancers and databases: whom traffic reaches, and from where.

use super::build::{Builder, address};
use super::reference;
use kplan_model::{Input, Meta};
use kplan_providers::digitalocean::{
    DatabaseArgs, DatabaseRule, FirewallArgs, FirewallRule, ForwardingRule, HealthCheck,
    LoadBalancerArgs, LoadBalancerFirewall,
};
use kplan_schema::Spanned;
use kplan_schema::spec::{
    BalancerCheck, BalancerFirewall, DatabaseSource, Forwarding, FreeDatabase, FreeFirewall,
    FreeLoadBalancer, TrafficRule,
};
use kplan_schema::value::{CheckProtocol, DatabaseRuleType, Tag};

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    for free in &spec.firewalls {
        firewall(builder, free);
    }
    for free in &spec.load_balancers {
        load_balancer(builder, free);
    }
    for free in &spec.databases {
        database(builder, free);
    }
}

/// The guard of a block, which comes after what its tags need.
fn guard<'t>(
    builder: &Builder<'_>,
    protect: Option<&Spanned<bool>>,
    tags: impl IntoIterator<Item = &'t Spanned<Tag>>,
) -> Meta {
    let mut meta = builder.guard(protect);
    meta.after = reference::carriers(builder, tags);
    meta
}

fn texts<T: std::fmt::Display>(list: &[Spanned<T>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn rule(builder: &Builder<'_>, given: &TrafficRule) -> FirewallRule {
    let balancers = given.load_balancers.iter();
    FirewallRule {
        protocol: given.protocol.to_string(),
        port_range: given.port_range.as_ref().map(ToString::to_string),
        addresses: texts(&given.addresses),
        tags: reference::names(&given.tags),
        droplet_ids: reference::droplets(builder, &given.droplets),
        load_balancer_uids: balancers
            .map(|one| reference::load_balancer(builder, one))
            .collect(),
    }
}

fn firewall(builder: &mut Builder<'_>, free: &FreeFirewall) {
    let rules = |rules: &[TrafficRule]| rules.iter().map(|one| rule(builder, one)).collect();
    let args = FirewallArgs {
        name: free.name.to_string(),
        tags: reference::names(&free.tags),
        droplet_ids: reference::droplets(builder, &free.droplets),
        inbound_rule: rules(&free.inbound_rule),
        outbound_rule: rules(&free.outbound_rule),
    };
    let inner = free.inbound_rule.iter().chain(&free.outbound_rule);
    let tags = free.tags.iter().chain(inner.flat_map(|rule| &rule.tags));
    let meta = guard(builder, free.protect.as_ref(), tags);
    let at = address("firewall", free.label.as_str());
    builder.add_with(at, &args, free.span, meta);
    builder.field_at("name", free.name.span);
}

fn forwarding(given: &Forwarding) -> ForwardingRule {
    // The schema knows no port that would not fit.
    let port = |port: &Spanned<u32>| u16::try_from(port.value).unwrap_or(u16::MAX);
    ForwardingRule {
        entry_protocol: given.entry_protocol.to_string(),
        entry_port: port(&given.entry_port),
        target_protocol: given.target_protocol.to_string(),
        target_port: port(&given.target_port),
        certificate_id: given.certificate_id.as_ref().map(|id| id.value.clone()),
        tls_passthrough: given.tls_passthrough.value,
    }
}

fn health_check(given: &BalancerCheck) -> HealthCheck {
    let asks = given.protocol.value != CheckProtocol::Tcp;
    let path = given.path.as_ref().map(|path| path.value.clone());
    HealthCheck {
        protocol: given.protocol.to_string(),
        port: u16::try_from(given.port.value).unwrap_or(u16::MAX),
        path: path.or_else(|| asks.then(|| "/".to_owned())),
        check_interval_seconds: given.check_interval_seconds.value,
        response_timeout_seconds: given.response_timeout_seconds.value,
        unhealthy_threshold: given.unhealthy_threshold.value,
        healthy_threshold: given.healthy_threshold.value,
    }
}

fn doors(given: &BalancerFirewall) -> LoadBalancerFirewall {
    LoadBalancerFirewall {
        allow: texts(&given.allow),
        deny: texts(&given.deny),
    }
}

fn load_balancer(builder: &mut Builder<'_>, free: &FreeLoadBalancer) {
    let number = |given: &Option<Spanned<u32>>| given.as_ref().map(|number| number.value);
    let args = LoadBalancerArgs {
        name: free.name.to_string(),
        region: free.region.to_string(),
        size_unit: number(&free.size_unit),
        forwarding_rule: free.forwarding_rule.iter().map(forwarding).collect(),
        healthcheck: free.healthcheck.as_ref().map(health_check),
        droplet_tag: free.tag.as_ref().map(|tag| Input::Known(tag.to_string())),
        droplet_ids: reference::droplets(builder, &free.droplets),
        vpc_uuid: reference::vpc_of(builder, &free.region, free.vpc.as_ref()),
        firewall: free.firewall.as_ref().map(doors),
        redirect_http_to_https: free.redirect_http_to_https.value,
        enable_proxy_protocol: free.enable_proxy_protocol.value,
        enable_backend_keepalive: free.enable_backend_keepalive.value,
        http_idle_timeout_seconds: number(&free.http_idle_timeout_seconds),
    };
    let meta = guard(builder, free.protect.as_ref(), &free.tag);
    let at = address("load_balancer", free.label.as_str());
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("name", free.name.span),
        ("region", free.region.span),
        ("size_unit", free.size_unit.as_ref().and_then(|it| it.span)),
        ("vpc_uuid", free.vpc.as_ref().and_then(|it| it.span)),
    ]);
}

/// The trusted sources that one of the file's stands for: as many as a pool has droplets.
fn trusted(builder: &Builder<'_>, source: &DatabaseSource) -> Vec<DatabaseRule> {
    let one = |kind: DatabaseRuleType, value: Input<String>| DatabaseRule {
        kind: kind.to_string(),
        value,
    };
    match source {
        DatabaseSource::Tag(tag) => {
            vec![one(DatabaseRuleType::Tag, Input::Known(tag.to_string()))]
        }
        DatabaseSource::Address(address) => {
            let known = Input::Known(address.to_string());
            vec![one(DatabaseRuleType::IpAddr, known)]
        }
        DatabaseSource::Other(kind, id) => vec![one(*kind, Input::Known(id.value.clone()))],
        DatabaseSource::Droplet(droplet) => reference::droplet(builder, droplet)
            .into_iter()
            .map(|id| one(DatabaseRuleType::Droplet, id))
            .collect(),
    }
}

fn database(builder: &mut Builder<'_>, free: &FreeDatabase) {
    let at = address("database", free.label.as_str());
    let rules = free.rules.iter();
    let args = DatabaseArgs {
        name: free.name.to_string(),
        engine: free.engine.to_string(),
        version: free.version.as_ref().map(ToString::to_string),
        size: free.size.to_string(),
        region: free.region.to_string(),
        node_count: free.nodes.value,
        storage_size_mib: free.storage_size_mib.as_ref().map(|size| size.value),
        private_network_uuid: reference::vpc_of(builder, &free.region, free.vpc.as_ref()),
        tags: reference::tags(builder, &at, &free.tags),
        rules: rules
            .clone()
            .flat_map(|rule| trusted(builder, &rule.source))
            .collect(),
    };
    let tags = rules.filter_map(|rule| match &rule.source {
        DatabaseSource::Tag(tag) => Some(tag),
        _ => None,
    });
    let meta = guard(builder, free.protect.as_ref(), tags);
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("name", free.name.span),
        ("version", free.version.as_ref().and_then(|it| it.span)),
        ("size", free.size.span),
        ("region", free.region.span),
        ("node_count", free.nodes.span),
        (
            "private_network_uuid",
            free.vpc.as_ref().and_then(|it| it.span),
        ),
    ]);
}
